"""Records and plans as nobody writes them: edited under a right checksum, or made by a later version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.filesystem import read_checked, read_json, write_checked, write_sealed
from bench.runs.run_folder import RunFolder

Edit = Callable[[dict[str, Any]], object]


def _scores(**changed: Any) -> Edit:
    return lambda record: record["splits"]["test"]["scores"].update(changed)


def _documents(**changed: Any) -> Edit:
    return lambda record: record["splits"]["test"]["documents"].update(changed)


def _whole(**changed: Any) -> Edit:
    return lambda record: record.update(changed)


IMPOSSIBLE: dict[str, tuple[Edit, str]] = {
    "not a number": (_scores(f1=float("nan")), "splits.test.scores.f1 = nan: input should be a finite number"),
    "infinite": (_scores(precision=float("inf")), "splits.test.scores.precision = inf"),
    "past all bounds": (_scores(f1=1e308), "splits.test.scores.f1 = 1e+308: input should be less than"),
    "more than all": (_scores(ign_f1=100.5), "splits.test.scores.ign_f1 = 100.5"),
    "negative": (_scores(recall=-0.5), "splits.test.scores.recall = -0.5"),
    "a text": (_scores(f1="50.0"), "splits.test.scores.f1 = '50.0': input should be a valid number"),
    "missing": (lambda record: record["splits"]["test"]["scores"].pop("f1"), "splits.test.scores.f1 is missing"),
    "no splits": (_whole(splits={}), "no scores of dev or test"),
    "no slices": (lambda record: record["splits"]["test"].update(slices={}), "slices: none of the protocol strict"),
    "no documents": (
        _documents(titles=[], correct=[], predicted=[], gold=[], correct_in_facts=[]),
        "splits.test.documents: there are none",
    ),
    "lists of other lengths": (_documents(gold=[9]), "splits.test.documents: lists of 3, 3, 3, 1, 3 entries"),
    "more right than predicted": (_documents(correct=[5, 1, 1]), "5 of 2 predicted in 'document 0'"),
    "more right than labelled": (_documents(gold=[0, 4, 4]), "1 of 0 labelled in 'document 0'"),
    "more seen than right": (_documents(correct_in_facts=[2, 0, 0]), "2 of 1 correct in 'document 0'"),
    "a negative count": (_documents(predicted=[-2, 2, 2]), "splits.test.documents.predicted.0 = -2"),
    "a count past all bounds": (_documents(gold=[10**300, 4, 4]), "splits.test.documents.gold.0"),
    "a relation with more right than labelled": (
        lambda record: record["splits"]["test"].update(relations={"P1": [3, 4, 2]}),
        "relations.P1: 3 correct of 4 predicted and 2 labelled",
    ),
    "more outside than labelled": (
        lambda record: record["splits"]["test"].update(gold_outside=99),
        "gold_outside: 99 of 12 labelled",
    ),
    "a margin that is no number": (
        lambda record: record["splits"]["test"].update(highest_margin=float("nan")),
        "highest_margin = nan",
    ),
    "a threshold that is no number": (_whole(decision={"threshold": float("inf")}), "decision.threshold = inf"),
    "another seed": (_whole(seed=7), "seed is 7, in run.json 0"),
    "another model": (_whole(model="other"), "model is 'other', in run.json 'm'"),
    "another setting": (_whole(setting="distant"), "setting is 'distant', in run.json 'human'"),
    "another key": (_whole(key="0" * 16), "key is '0000000000000000', in run.json"),
    "no stages": (_whole(stages=[]), "its stages are not those in run.json"),
    "an epoch that was not": (
        lambda record: record["stages"][0].update(selected_epoch=9),
        "stages.0: epoch 9 selected of 1",
    ),
    "no schema": (_whole(schema_version="two"), "schema_version = 'two': expected a number from 1 on"),
    "schema 0": (_whole(schema_version=0), "schema_version = 0: expected a number from 1 on"),
}
"""Edits of a record of three documents (1 of 2 predicted and 4 labelled each), and what is said of each."""

NEWER: dict[str, tuple[Edit, str]] = {
    "a higher schema": (_whole(schema_version=2), "schema_version 2, this version reads 1 and lower"),
    "an unknown field": (_whole(surprise=1), "with surprise, unknown to this version"),
    "an unknown field within": (_scores(surprise=1.0), "with splits.test.scores.surprise, unknown to this version"),
}
"""Edits that only a newer version of the program can have made."""

COUNTS = [[1, 2, 4, 0]] * 3


def edit_record(folder: RunFolder, edit: Edit) -> None:
    """Change the record of a run, under a right checksum."""
    content = read_json(folder.path / "record.json")["record"]
    edit(content)
    write_sealed(folder.path / "record.json", "record", content)


def edit_plan(folder: RunFolder, edit: Edit) -> None:
    """Change the plan of a run, under a right checksum."""
    content = read_checked(folder.path / "run.json")
    assert content is not None
    edit(content)
    write_checked(folder.path / "run.json", content)
