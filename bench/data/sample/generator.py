"""The sample data set: documents of templated English over a generated world, in the shape of DocRED.

A world is drawn from a seed, and each document tells of one topic of it: sentences that state facts, some naming both
entities, some saying "the company" for one of them, and some that name entities and state nothing of them. Complete
labels are what the text states, with what follows by rule. Distant labels are what a knowledge base, which holds a part
of the world's facts, says of a document's pairs, whether the text states it or not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.data.documents import Document, Label, Mention
from bench.data.sample import templates as words
from bench.data.sample.templates import RELATIONS
from bench.data.sample.world import Country, Entity, Evidence, Fact, World, infer

__all__ = ["RELATIONS", "SAMPLE_VERSION", "SIZES", "generate", "generate_with_truth"]

SAMPLE_VERSION = 1
"""Raised whenever the same seed gives other documents."""

SIZES: dict[str, int] = {"train": 240, "dev": 60, "test": 100, "distant": 800}
"""Documents of each split. `ext` and `dev_ext` are those of `train` and `dev`, with fewer labels."""

KINDS: dict[str, int] = {"film": 26, "club": 20, "company": 17, "family": 15, "university": 9, "band": 7, "region": 6}
"""Kind of document -> weight. Unequal, so that the relations' frequencies are."""

RECORDED = 0.6
"""Share of the world's facts that the knowledge base holds."""

UNNAMED = 0.5
"""Chance that a sentence says "the company" for the topic where it can."""

NEUTRAL = 0.12
"""Chance that a sentence names its entities and states nothing of them."""

SHORT = 0.55
"""Chance that a later mention is the short form."""

STRANGER = 0.3
"""Chance that a document names an entity it has nothing to say of, and then of another."""

LONGEST = 10
"""Sentences from which on no more strangers are named."""


class Story:
    """One document in the making: sentences, mentions, and what the sentences state."""

    def __init__(self, rng: random.Random, world: World, kind: str) -> None:
        self.rng = rng
        self.world = world
        self.kind = kind
        self.country: Country = rng.choice(world.countries)
        self.topic: list[Entity] = []
        self.sentences: list[tuple[str, ...]] = []
        self.mentions: dict[Entity, list[Mention]] = {}
        self.stated: dict[Fact, Evidence] = {}

    def people(self, count: int) -> list[Entity]:
        """Different people of the country, no two called the same."""
        chosen: list[Entity] = []
        for person in self.rng.sample(self.country.people, len(self.country.people)):
            if len(chosen) < count and person.short not in [other.short for other in chosen]:
                chosen.append(person)
        return chosen

    def open(self, topic: Sequence[Entity]) -> None:
        """The first sentence: what the topic is and which country it is from."""
        self.topic = list(topic)
        relation = "citizenship" if self.kind == "family" else "country"
        self.world.add(self.topic, relation, [self.country.entity])
        self._write(self.rng.choice(words.OPENINGS), self.topic, [self.country.entity])
        self._state(self.topic, relation, [self.country.entity], frozenset({0}))

    def tell(self, *facts: tuple[Sequence[Entity], str, Sequence[Entity]], likely: float = 1.0) -> None:
        """Make these facts true and tell of them in any order, of each with chance `likely`."""
        for heads, relation, tails in self.rng.sample(facts, len(facts)):
            self.world.add(heads, relation, tails)
            if self.rng.random() >= likely:
                continue
            if self.rng.random() < NEUTRAL:
                self._write(self.rng.choice(words.NEUTRAL), heads, tails)
                continue
            frame = words.FRAMES[relation]
            about = [text for text in frame.topic if self.topic == (tails if "{h}" in text else heads)]
            unnamed = bool(about) and self.rng.random() < UNNAMED
            self._write(self.rng.choice(about if unnamed else frame.named), heads, tails)
            here = len(self.sentences) - 1
            self._state(heads, relation, tails, frozenset({0, here} if unnamed else {here}))

    def stranger(self) -> None:
        """Name, beside the topic, somebody or some place that has nothing to do with it."""
        abroad = self.rng.choice([country for country in self.world.countries if country is not self.country])
        other = self.rng.choice([self.rng.choice(abroad.people), self.rng.choice(abroad.towns), abroad.entity])
        self._write(self.rng.choice(words.NEUTRAL), self.topic, [other])

    def document(self) -> tuple[Document, list[Entity]]:
        """The document, titled by its topic, with its complete labels, and which thing of the world each entity is."""
        entities = self.rng.sample(list(self.mentions), len(self.mentions))
        place = {entity.number: index for index, entity in enumerate(entities)}
        labels = sorted(
            Label(place[head], place[tail], relation, tuple(sorted(evidence)))
            for (head, relation, tail), evidence in infer(self.stated).items()
            if head in place and tail in place
        )
        mentions = tuple(tuple(self.mentions[entity]) for entity in entities)
        title = " ".join(self.topic[0].name)
        return Document(title, tuple(self.sentences), mentions, tuple(labels)), entities

    def _state(self, heads: Sequence[Entity], relation: str, tails: Sequence[Entity], evidence: Evidence) -> None:
        for head in heads:
            for tail in tails:
                if head is not tail:
                    self.stated.setdefault((head.number, relation, tail.number), evidence)

    def _write(self, template: str, heads: Sequence[Entity], tails: Sequence[Entity]) -> None:
        several = len(self.topic) > 1
        introduced, plural, the_one, the_ones = words.NOUNS[self.kind]
        subjects = {"{h}": len(heads), "{t}": len(tails), "{topic}": len(self.topic)}
        first = min((slot for slot in subjects if slot in template), key=template.index)
        out: list[str] = []
        for part in template.split():
            if part in ("{h}", "{t}"):
                self._name(out, heads if part == "{h}" else tails)
            elif part == "{was}":
                out.append("were" if subjects[first] > 1 else "was")
            elif part == "{topic}":
                out.extend((the_ones if several else the_one).split())
            elif part == "{kind}":
                out.extend((plural if several else introduced).split())
            else:
                out.append(part)
        out[0] = out[0][0].upper() + out[0][1:]
        self.sentences.append((*out, "."))

    def _name(self, out: list[str], entities: Sequence[Entity]) -> None:
        for position, entity in enumerate(entities):
            if position:
                out.append("and" if position == len(entities) - 1 else ",")
            name = entity.name
            if entity in self.mentions and self.rng.random() < SHORT and self._only_one_called(entity):
                name = entity.short
            start = len(out)
            out.extend(name)
            mention = Mention(len(self.sentences), start, len(out), " ".join(name), entity.type)
            self.mentions.setdefault(entity, []).append(mention)

    def _only_one_called(self, entity: Entity) -> bool:
        return not any(entity.short[0] in other.name for other in self.mentions if other is not entity)


def _film(story: Story) -> None:
    rng, world = story.rng, story.world
    films = [world.compose(rng, "MISC", words.ADJECTIVES, words.WORKS, 1) for _ in range(2)]
    *cast, director = story.people(rng.choice((3, 4, 4)))
    story.open(films)
    story.tell((films, "cast_member", cast), (films, "director", [director]))
    story.tell((films, "production_company", [rng.choice(story.country.studios)]), likely=0.5)
    story.tell((films, "publication_date", [rng.choice(world.years)]), likely=0.3)
    story.tell((cast, "citizenship", [story.country.entity]), likely=0.6)


def _club(story: Story) -> None:
    rng, world, country = story.rng, story.world, story.country
    club = world.firm(rng, country, words.PLACES, words.CLUB_KINDS)
    *players, coach = story.people(rng.choice((5, 6)))
    story.open([club])
    story.tell((players, "plays_for", [club]), (players, "citizenship", [country.entity]))
    story.tell(([club], "league", [country.league]), ([club], "coach", [coach]), likely=0.35)
    town = world.birthplaces[players[0].number]
    natives = [player for player in players if world.birthplaces[player.number] == town]
    story.tell((natives, "place_of_birth", [town]), likely=0.4)


def _company(story: Story) -> None:
    rng, world, country = story.rng, story.world, story.country
    firms = [world.firm(rng, country, words.FIRMS, words.COMPANY_KINDS) for _ in range(3)]
    products = [world.compose(rng, "MISC", words.FIRMS, words.MODELS, 1) for _ in range(2)]
    town = rng.choice(country.towns)
    story.open(firms[:1])
    story.tell((firms, "founded_by", story.people(rng.choice((2, 3)))), (firms[:1], "subsidiary", firms[1:]))
    story.tell((firms, "headquarters", [town]), ([town], "country", [country.entity]), likely=0.7)
    story.tell((products, "manufacturer", firms[:1]), likely=0.3)
    story.tell((firms[:1], "inception", [rng.choice(world.years)]), likely=0.25)


def _family(story: Story) -> None:
    rng, world, country = story.rng, story.world, story.country
    surname = next(world.family_names)
    parents = [world.person(rng, country, surname) for _ in range(2)]
    children = [world.person(rng, country, surname) for _ in range(rng.choice((2, 3, 3)))]
    town = rng.choice(country.towns)
    story.open(parents)
    story.tell((parents, "child", children))
    story.tell((children, "place_of_birth", [town]), ([town], "country", [country.entity]), likely=0.6)
    story.tell((parents[:1], "spouse", parents[1:]), likely=0.3)
    story.tell((children[:1], "date_of_birth", [rng.choice(world.years)]), likely=0.5)


def _university(story: Story) -> None:
    rng, world, country = story.rng, story.world, story.country
    school = world.firm(rng, country, words.PLACES, words.SCHOOL_KINDS)
    people = story.people(rng.choice((4, 5)))
    story.open([school])
    story.tell((people, "educated_at", [school]), (people, "citizenship", [country.entity]))
    story.tell((people[:2], "employer", [school]), likely=0.6)
    story.tell((people[2:], "award_received", [rng.choice(world.prizes)]), likely=0.5)
    story.tell(([school], "inception", [rng.choice(world.years)]), likely=0.3)


def _band(story: Story) -> None:
    rng, world, country = story.rng, story.world, story.country
    band = world.compose(rng, "ORG", words.ADJECTIVES, words.BANDS, 1)
    albums = [world.compose(rng, "MISC", words.ADJECTIVES, words.ALBUMS, 1) for _ in range(rng.choice((2, 3)))]
    singers = story.people(3)
    story.open([band])
    story.tell((singers, "member_of", [band]), (albums, "performer", [band]))
    story.tell((albums, "record_label", [rng.choice(country.labels)]), likely=0.5)
    story.tell((albums, "composer", singers[:2]), likely=0.6)


def _region(story: Story) -> None:
    rng, world, country = story.rng, story.world, story.country
    region, towns = world.region(rng, country)
    story.open([region])
    story.tell((towns, "located_in", [region]))
    story.tell(([region], "population", [rng.choice(world.numbers)]), likely=0.7)
    story.tell(([region], "capital", towns[:1]), ([region], "head_of_government", story.people(1)), likely=0.7)


TELLERS: dict[str, Callable[[Story], None]] = {
    "film": _film,
    "club": _club,
    "company": _company,
    "family": _family,
    "university": _university,
    "band": _band,
    "region": _region,
}


def generate_with_truth(
    seed: int = 0, sizes: Mapping[str, int] | None = None
) -> tuple[dict[str, list[Document]], list[Document]]:
    """The data set, and the documents of `distant` with complete labels: what its own labels miss and make up."""
    sizes = SIZES | dict(sizes or {})
    world = World(random.Random(f"{seed} world"))
    stories = {split: _tell(random.Random(f"{seed} {split}"), world, sizes[split]) for split in SIZES}
    splits = {split: [document for document, _ in documents] for split, documents in stories.items()}

    # The knowledge base is the whole world's, so it is drawn when the last document has added its topic.
    rng = random.Random(f"{seed} knowledge base")
    held = {fact for fact in sorted(infer(world.facts)) if rng.random() < RECORDED}
    truth = splits["distant"]
    splits["distant"] = [_label_by_matching(document, entities, held) for document, entities in stories["distant"]]
    for source, name in (("train", "ext"), ("dev", "dev_ext")):
        rng = random.Random(f"{seed} {name}")
        splits[name] = [_one_per_relation(document, rng) for document in splits[source]]
    return splits, truth


def generate(seed: int = 0, sizes: Mapping[str, int] | None = None) -> dict[str, list[Document]]:
    """The splits train, dev, test, ext, dev_ext and distant: the same ones anywhere for the same seed and sizes."""
    return generate_with_truth(seed, sizes)[0]


def _tell(rng: random.Random, world: World, count: int) -> list[tuple[Document, list[Entity]]]:
    stories = []
    wheel = [kind for kind, weight in KINDS.items() for _ in range(weight)]
    for kind in rng.sample([wheel[i * len(wheel) // count] for i in range(count)], count):
        story = Story(rng, world, kind)
        TELLERS[kind](story)
        while len(story.sentences) < 4 or (len(story.sentences) < LONGEST and rng.random() < STRANGER):
            story.stranger()
        stories.append(story.document())
    return stories


def _label_by_matching(document: Document, entities: Sequence[Entity], held: set[Fact]) -> Document:
    labels = [
        Label(i, j, relation)
        for i, head in enumerate(entities)
        for j, tail in enumerate(entities)
        for relation in RELATIONS
        if (head.number, relation, tail.number) in held
    ]
    return replace(document, labels=tuple(labels))


def _one_per_relation(document: Document, rng: random.Random) -> Document:
    """The document with one triple of each of its relations, drawn at random: the rule of SSR-PU's ext files."""
    of: dict[str, list[Label]] = {}
    for label in document.labels:
        of.setdefault(label.relation, []).append(label)
    return replace(document, labels=tuple(sorted(rng.choice(of[relation]) for relation in sorted(of))))
