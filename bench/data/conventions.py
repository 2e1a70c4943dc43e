"""DocRED's rules, which go without saying: which pairs are classified, and what of a prediction counts.

Apart from the forms of files, so that a table of records can know them without any reader.
"""

from __future__ import annotations

DOCRED = {
    "pairs": "every ordered pair of different entities of a document",
    "scored": "head, tail and relation as labelled; Ign F1 leaves out what training has between the same names",
}
