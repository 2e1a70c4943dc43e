"""The world the sample data set tells of: countries, towns, people, firms, works, and the facts about them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import NamedTuple

from bench.data.sample import templates as words

Fact = tuple[int, str, int]
"""(head entity, relation, tail entity), entities by their number in the world."""

Evidence = frozenset[int]
"""The sentences a fact rests on."""


class Entity(NamedTuple):
    """A thing of the world. `short` is what a later mention may call it."""

    number: int
    type: str
    name: tuple[str, ...]
    short: tuple[str, ...]


def infer(stated: Mapping[Fact, Evidence]) -> dict[Fact, Evidence]:
    """The stated facts and those that follow: inverses, siblings, countries and citizenships.

    A fact that follows rests on the sentences of its premises together.
    """
    facts = dict(stated)

    def add(head: int, relation: str, tail: int, evidence: Evidence) -> None:
        if head != tail:
            facts.setdefault((head, relation, tail), evidence)

    for (head, relation, tail), evidence in stated.items():
        if relation == "spouse":
            add(tail, "spouse", head, evidence)
        elif relation == "child":
            add(tail, "parent", head, evidence)
    for children in _tails(facts, "child").values():
        for one, evidence in children:
            for other, more in children:
                add(one, "sibling", other, evidence | more)
    # In this order a town has its region's country before a firm or a person takes the town's.
    for place, implied in (("located_in", "country"), ("headquarters", "country"), ("place_of_birth", "citizenship")):
        countries = _tails(facts, "country")
        for (head, relation, tail), evidence in list(facts.items()):
            if relation == place:
                for country, more in countries[tail]:
                    add(head, implied, country, evidence | more)
    return facts


def _tails(facts: Mapping[Fact, Evidence], wanted: str) -> defaultdict[int, list[tuple[int, Evidence]]]:
    tails: defaultdict[int, list[tuple[int, Evidence]]] = defaultdict(list)
    for (head, relation, tail), evidence in facts.items():
        if relation == wanted:
            tails[head].append((tail, evidence))
    return tails


@dataclass
class Country:
    """A country, and who and what is at home there."""

    entity: Entity
    league: Entity
    towns: list[Entity] = field(default_factory=list)
    people: list[Entity] = field(default_factory=list)
    studios: list[Entity] = field(default_factory=list)
    labels: list[Entity] = field(default_factory=list)


class World:
    """Entities and true facts. Geography, people and firms are there at once; documents add their topics."""

    def __init__(self, rng: random.Random) -> None:
        self.facts: dict[Fact, Evidence] = {}
        self.countries: list[Country] = []
        self.years = [Entity(-1 - i, "TIME", (year,), (year,)) for i, year in enumerate(words.YEARS)]
        self.numbers = [Entity(-1001 - i, "NUM", (number,), (number,)) for i, number in enumerate(words.NUMBERS)]
        self.family_names = cycle(words.SURNAMES)
        self._count = 0
        self._names: set[tuple[str, ...]] = set()
        self.prizes = [self.compose(rng, "MISC", words.SURNAMES, words.PRIZES, 1) for _ in range(12)]
        self.birthplaces: dict[int, Entity] = {}
        for name in words.COUNTRIES:
            country = Country(self.entity("LOC", (name,)), self.entity("ORG", (name, "League")))
            self.countries.append(country)
            for _ in range(3):
                self.region(rng, country)
            for _ in range(40):
                person = self.person(rng, country)
                # Few birthplaces, so that a document's people share them.
                self.birthplaces[person.number] = rng.choice(country.towns[::3])
                self.add([person], "place_of_birth", [self.birthplaces[person.number]])
                country.people.append(person)
            country.studios = [self.firm(rng, country, words.FIRMS, words.STUDIO_KINDS) for _ in range(2)]
            country.labels = [self.firm(rng, country, words.FIRMS, words.LABEL_KINDS) for _ in range(2)]
            self.add([country.league], "country", [country.entity])

    def entity(self, kind: str, name: tuple[str, ...], short: tuple[str, ...] = ()) -> Entity:
        """A new entity of type `kind`."""
        self._count += 1
        self._names.add(name)
        return Entity(self._count, kind, name, short or name)

    def compose(self, rng: random.Random, kind: str, first: Sequence[str], last: Sequence[str], short: int) -> Entity:
        """A new entity with a name of its own, a word of each list. Word `short` of it is its short form."""
        for _ in range(100):
            name = (rng.choice(first), rng.choice(last))
            if name not in self._names:
                return self.entity(kind, name, (name[short],))
        full: tuple[str, ...] = name
        while full in self._names:  # only in data sets far larger than the default
            full = ("New", *full)
        return self.entity(kind, full, (name[short],))

    def add(self, heads: Iterable[Entity], relation: str, tails: Iterable[Entity]) -> None:
        """Make `relation` true from each of `heads` to each of `tails`."""
        tails = list(tails)
        for head in heads:
            for tail in tails:
                if head.number != tail.number:
                    self.facts.setdefault((head.number, relation, tail.number), frozenset())

    def region(self, rng: random.Random, country: Country) -> tuple[Entity, list[Entity]]:
        """A new region of the country, and its four towns."""
        region = self.compose(rng, "LOC", words.PLACES, words.REGION_KINDS, 0)
        towns = [self.compose(rng, "LOC", words.PLACES, words.CITY_KINDS, 0) for _ in range(4)]
        country.towns.extend(towns)
        self.add([region], "country", [country.entity])
        self.add(towns, "located_in", [region])
        return region, towns

    def person(self, rng: random.Random, country: Country, surname: str = "") -> Entity:
        """A new citizen of the country. One given a surname is called by the first name."""
        surnames = (surname,) if surname else words.SURNAMES
        person = self.compose(rng, "PER", words.FIRST_NAMES, surnames, 0 if surname else 1)
        self.add([person], "citizenship", [country.entity])
        return person

    def firm(self, rng: random.Random, country: Country, first: Sequence[str], last: Sequence[str]) -> Entity:
        """A new organisation of the country."""
        firm = self.compose(rng, "ORG", first, last, 0)
        self.add([firm], "country", [country.entity])
        return firm
