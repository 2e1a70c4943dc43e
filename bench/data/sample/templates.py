"""The words of the sample data set: relations, the sentences that state them, the parts names are made of.

In a template `{h}` and `{t}` are the heads and tails of a relation, each one name or a list ("A , B and C"). `{topic}`
is what the document tells of, without its name ("the film", "the films"): a template that has it states facts whose two
entities it does not name together. `{was}` agrees with what comes first. In an opening, `{kind}` is "a film", "films".
"""

from __future__ import annotations

from typing import NamedTuple

RELATIONS: dict[str, str] = {
    "country": "country",
    "citizenship": "country of citizenship",
    "cast_member": "cast member",
    "plays_for": "member of sports team",
    "founded_by": "founded by",
    "sibling": "sibling",
    "child": "child",
    "parent": "parent",
    "place_of_birth": "place of birth",
    "educated_at": "educated at",
    "located_in": "located in the region",
    "headquarters": "headquarters location",
    "performer": "performer",
    "member_of": "member of band",
    "director": "director",
    "production_company": "production company",
    "manufacturer": "manufacturer",
    "record_label": "record label",
    "composer": "composer",
    "subsidiary": "subsidiary",
    "award_received": "award received",
    "employer": "employer",
    "spouse": "spouse",
    "publication_date": "publication date",
    "league": "league",
    "inception": "inception",
    "coach": "head coach",
    "date_of_birth": "date of birth",
    "population": "population",
    "capital": "capital",
    "head_of_government": "head of government",
}
"""Relation -> readable name, about from the most frequent to the rarest."""


class Frame(NamedTuple):
    """The ways to state a relation: naming both sides, or calling one of them "the film"."""

    named: tuple[str, ...]
    topic: tuple[str, ...] = ()


FRAMES: dict[str, Frame] = {
    "country": Frame(
        ("{h} {was} located in the nation of {t}", "{h} belonged to the nation of {t}"),
        ("{topic} belonged to the nation of {t}",),
    ),
    "citizenship": Frame(
        ("{h} {was} citizens of {t}", "{t} gave passports to its citizens {h}"),
        ("{topic} {was} citizens of {t}",),
    ),
    "cast_member": Frame(
        ("{h} starred the actors {t}", "the actors {t} starred in {h}"),
        ("{topic} starred the actors {t}", "the actors {t} starred in {topic}"),
    ),
    "plays_for": Frame(
        ("{h} played matches for {t}", "{t} signed the players {h}"),
        ("{h} played matches for {topic}", "{topic} signed the players {h}"),
    ),
    "founded_by": Frame(
        ("{h} {was} founded by {t}", "{t} founded {h}"),
        ("{topic} {was} founded by {t}", "{t} founded {topic}"),
    ),
    "child": Frame(
        ("{h} raised the children {t}", "the children {t} {was} born to {h}"),
        ("{topic} raised the children {t}", "the children {t} {was} born to {topic}"),
    ),
    "place_of_birth": Frame(
        ("{h} {was} born in the city of {t}", "the city of {t} {was} the birthplace of {h}"),
    ),
    "educated_at": Frame(
        ("{h} studied at {t}", "the graduates {h} studied at {t}"),
        ("the graduates {h} studied at {topic}",),
    ),
    "located_in": Frame(
        ("the towns {h} {was} part of {t}", "{t} contained the towns {h}"),
        ("the towns {h} {was} part of {topic}", "{topic} contained the towns {h}"),
    ),
    "headquarters": Frame(
        ("{h} had headquarters in {t}", "the headquarters of {h} stood in {t}"),
        ("{topic} had headquarters in {t}", "the headquarters of {topic} stood in {t}"),
    ),
    "performer": Frame(
        ("{h} {was} performed by {t}", "{t} performed the albums {h}"),
        ("{topic} performed the albums {h}",),
    ),
    "member_of": Frame(
        ("the singers {h} joined {t}", "{t} included the singers {h}"),
        ("the singers {h} joined {topic}", "{topic} included the singers {h}"),
    ),
    "director": Frame(
        ("{h} {was} directed by {t}", "{t} directed {h}"),
        ("{topic} {was} directed by {t}", "{t} directed {topic}"),
    ),
    "production_company": Frame(
        ("{h} {was} financed by the studio {t}", "the studio {t} financed {h}"),
        ("{topic} {was} financed by the studio {t}", "the studio {t} financed {topic}"),
    ),
    "manufacturer": Frame(
        ("{h} {was} manufactured by {t}", "{t} manufactured the machines {h}"),
        ("{topic} manufactured the machines {h}",),
    ),
    "record_label": Frame(("the label {t} released {h}", "{h} {was} released by the label {t}")),
    "composer": Frame(("{h} {was} composed by {t}", "{t} composed the music of {h}")),
    "subsidiary": Frame(
        ("{h} acquired the firms {t}", "the firms {t} {was} acquired by {h}"),
        ("{topic} acquired the firms {t}", "the firms {t} {was} acquired by {topic}"),
    ),
    "award_received": Frame(("{h} won the award {t}", "the award {t} went to {h}")),
    "employer": Frame(
        ("{h} taught as professors at {t}", "{t} employed the professors {h}"),
        ("{topic} employed the professors {h}",),
    ),
    "spouse": Frame(("{h} married {t}", "{h} was the spouse of {t}")),
    "publication_date": Frame(
        ("{h} appeared in theaters in {t}", "{h} appeared in shops in {t}"),
        ("{topic} appeared in theaters in {t}",),
    ),
    "league": Frame(("{h} competed in {t}",), ("{topic} competed in {t}",)),
    "inception": Frame(("{h} opened its doors in {t}",), ("{topic} opened its doors in {t}",)),
    "coach": Frame(("{h} {was} coached by {t}", "the coach {t} trained {h}"), ("the coach {t} trained {topic}",)),
    "date_of_birth": Frame(("{h} {was} born in the year {t}",)),
    "population": Frame(("{h} counted {t} inhabitants",), ("{topic} counted {t} inhabitants",)),
    "capital": Frame(("the capital of {h} {was} {t}",), ("the capital of {topic} {was} {t}",)),
    "head_of_government": Frame(
        ("{h} {was} governed by {t}", "the governor {t} led {h}"), ("the governor {t} led {topic}",)
    ),
}
"""Relation -> how a text states it. Parents and siblings are never stated: they follow from children."""

NEUTRAL: tuple[str, ...] = (
    "a reporter wrote about {h} , but also about {t}",
    "{h} {was} mentioned beside {t} in a newspaper",
    "readers often confused {h} with {t}",
    "a museum showed pictures of {h} next to {t}",
)
"""Sentences that name two sides and state nothing of them."""

OPENINGS: tuple[str, ...] = ("{h} {was} {kind} from the nation of {t}", "{h} , {kind} , came from the nation of {t}")
"""First sentences: they name the topic and state its country (of citizenship, where the topic is people)."""

NOUNS: dict[str, tuple[str, str, str, str]] = {
    "film": ("a film", "films", "the film", "the films"),
    "club": ("a football club", "football clubs", "the club", "the clubs"),
    "company": ("a company", "companies", "the company", "the companies"),
    "family": ("a parent", "parents of a family", "the parent", "the parents"),
    "band": ("a rock band", "rock bands", "the band", "the bands"),
    "region": ("a region", "regions", "the region", "the regions"),
    "university": ("a university", "universities", "the university", "the universities"),
}
"""Kind of document -> what its topic is called: introduced (one, several), then referred to (one, several)."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# What names are made of: few enough that the words of a test name have been seen in training.
FIRST_NAMES: tuple[str, ...] = _words(
    "Ada Anton Bela Boris Carla Cyril Diana Dario Edith Emil Flora Felix Greta Gustav Hanna Hugo Irene Igor Julia "
    "Jonas Karla Kurt Laura Leon Maria Marco Nadia Nils Olga Oscar Paula Pavel Quentin Rosa Ralf Sofia Simon Tessa "
    "Theo Ulrike Viktor Vera Walter Wanda Yuri Zora"
)
SURNAMES: tuple[str, ...] = _words(
    "Abbott Barlow Carver Dalton Ekberg Farrow Garland Hobbs Ibsen Jarvis Keller Lindgren Mercer Norwood Ogden "
    "Pruitt Quigley Radley Sawyer Thorne Underhill Vance Whitlock Yates Zeller Ashby Bowman Conrad Drexler Ellison "
    "Fenwick Grady Hartley Ingram Jensen Kirby Lowell Madden Nolan Osborn Prescott Rowland Stroud Tillman Upton "
    "Vickers Wexford York"
)
COUNTRIES: tuple[str, ...] = _words(
    "Avaria Borduria Calvenia Drovania Estoria Faldonia Gorvinia Harlandia Istravia Kelmania Lorvania Morovia"
)
PLACES: tuple[str, ...] = _words(
    "Alden Birch Cedar Dover Elm Fern Glen Hazel Iron Jasper Kings Lake Maple North Oak Pine Quarry Raven Stone "
    "Thorn Vale Willow Amber Bridge Clay Eagle Fox Grove Hill Ivy Juniper Laurel Moss Rose Silver Swan"
)
CITY_KINDS: tuple[str, ...] = _words(
    "City Town Falls Harbor Springs Bay Beach Heights Junction Point Ridge Landing Crossing Cove"
)
REGION_KINDS: tuple[str, ...] = ("Province", "County", "District", "Territory", "Valley")
FIRMS: tuple[str, ...] = _words(
    "Acton Belvex Cortex Dynamo Entrex Fluxor Gentrix Helion Intarc Jovex Kintel Lumina Maxtor Nexion Optima Primex "
    "Quantix Rotex Solvex Tronix Ultima Vortex Wintek Xenon Zenith Altair "
    "Borex Centura Delvix Ergon Fortex Gamma Hydrex Invex Juno Kronos"
)
COMPANY_KINDS: tuple[str, ...] = _words(
    "Motors Foods Energy Bank Group Steel Airlines Systems Holdings Trading Chemicals Electric Insurance Logistics "
    "Mining Partners Shipping Textiles"
)
STUDIO_KINDS: tuple[str, ...] = ("Pictures", "Studios")
LABEL_KINDS: tuple[str, ...] = ("Records", "Music")
CLUB_KINDS: tuple[str, ...] = _words("Rovers United Wanderers Athletic Albion Dynamos Hotspurs Rangers Celtics")
SCHOOL_KINDS: tuple[str, ...] = ("University", "College", "Institute", "Academy", "Polytechnic")
ADJECTIVES: tuple[str, ...] = _words(
    "Silent Crimson Broken Hidden Frozen Burning Distant Lonely Electric Velvet Midnight Endless Savage Gentle "
    "Forgotten Scarlet Hollow Restless Wild Secret Ancient Bitter Curious Divine Eternal Fading"
)
WORKS: tuple[str, ...] = _words(
    "River Shadow Garden Dream Mirror Storm Promise Island Letter Window Dancer Kingdom Summer Journey Memory Circus "
    "Hunter Lantern Voyage Whisper Bridge Castle Desert Empire Forest Harvest Orchard Prophet"
)
ALBUMS: tuple[str, ...] = _words("Songs Ballads Echoes Rhythms Melodies Anthems Hymns Tunes Serenades")
BANDS: tuple[str, ...] = _words("Wolves Tigers Pilots Sailors Rebels Ghosts")
PRIZES: tuple[str, ...] = ("Prize", "Medal")
MODELS: tuple[str, ...] = _words("Engine Tractor Rocket Printer Turbine Camera Scanner Robot Drill Crane Lathe Pump")
YEARS: tuple[str, ...] = tuple(str(year) for year in range(1988, 2004))
NUMBERS: tuple[str, ...] = tuple(f"{thousands},000" for thousands in range(20, 80, 10))
