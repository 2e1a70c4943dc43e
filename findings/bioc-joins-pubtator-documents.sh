#!/usr/bin/env bash
# bioc 2.1, PubTator: documents that no empty line separates become one, and novelty is read as negation.
#
# Expected, before running: a title line (PMID|t|...) begins a document, so two of them are two documents, or an error;
# the fifth column of a BioRED relation, Novel or No, is kept under a name that says so; the seventh of a composite
# mention of BC5CDR, the mention of each concept, is kept with it.
# Seen: loads() goes on with the same object until an empty line comes. The second title takes the place of the first,
# with its id, and the mentions and relations of both documents stand in one list; nothing is said. The fifth column is
# the field `neg` of a relation, so that "No" (known before, not novel) reads as a negation of some kind. The seventh
# column is dropped where it has several names, and kept in `others` where it has one.
#
#   documents read of two: 1, under the id 2, with the mentions of 1 and 2
#   fifth column of a relation: neg = 'Novel', neg = 'No'
#   seventh column: [] where it was 'ocular palkitis|renal palkitis'
#
# What it means here: files without empty lines exist wherever files are put together from parts. The reader of PubTator
# is our own (bench/data/formats/pubtator_relations.py): a title begins a document whatever stands before it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet bioc==2.1 lxml==6.1.3 intervaltree==3.2.1 jsonlines==4.0.0 tqdm==4.70.1 docopt==0.6.2
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

from bioc import pubtator

assert version("bioc") == "2.1", version("bioc")
FIRST = """\
1|t|Zorinol and palkitis
1|a|It was seen.
1\t0\t7\tZorinol\tChemicalEntity\tD1
1\t12\t20\tpalkitis\tDiseaseOrPhenotypicFeature\tD5
1\tAssociation\tD1\tD5\tNovel
"""
SECOND = """\
2|t|Ocular or renal palkitis
2|a|Again.
2\t0\t24\tOcular or renal palkitis\tDisease\tD5|D6\tocular palkitis|renal palkitis
2\tAssociation\tD5\tD6\tNo
"""
apart, together = pubtator.loads(f"{FIRST}\n{SECOND}"), pubtator.loads(FIRST + SECOND)
assert [document.pmid for document in apart] == ["1", "2"]
ids = [mention.pmid for mention in together[0].annotations]
novelty = [relation.neg for relation in together[0].relations]
names = apart[1].annotations[0].others
print(f"documents read of two: {len(together)}, under the id {together[0].pmid}, with the mentions of {ids}")
print(f"fifth column of a relation: neg = {novelty}")
print(f"seventh column: {names}")
joined = len(together) == 1 and together[0].pmid == "2" and ids == ["1", "1", "2"]
if not (joined and novelty == ["Novel", "No"] and names == []):
    sys.exit("bioc behaves otherwise now")
PYTHON
