"""The page for plugin authors: what is public is there, under the path that it says."""

from __future__ import annotations

import importlib
import inspect
import re
from importlib.resources import files
from typing import Any, get_args, get_type_hints

import pytest

from bench import interface

PARTS = {
    "axial": ["AxialTransformer"],
    "biaffine": ["TokenPairBiaffine"],
    "bilinear": ["EntityInContext", "GroupedBilinear", "PairFeatures"],
    "contraction": ["contract"],
    "losses": ["above_threshold", "adaptive_focal_loss", "adaptive_threshold_loss"],
    "pooling": ["Pairs"],
    "pu_risk": ["PuRisk", "PuTerms", "class_priors", "positive_unlabeled_risk"],
    "segments": ["segment_logsumexp", "segment_max"],
    "tokens": ["Tokens"],
}


@pytest.mark.parametrize("name", interface.__all__)
def test_everything_that_the_page_hands_on_is_there_and_explained(name):
    assert inspect.getdoc(getattr(interface, name)) or not inspect.isclass(getattr(interface, name))


@pytest.mark.parametrize(("module", "names"), PARTS.items())
def test_the_parts_that_models_share_are_where_the_page_says(module, names):
    part = importlib.import_module(f"bench.nn.{module}")
    assert all(hasattr(part, name) for name in names)


def test_the_page_names_the_parts_that_are_public_and_no_others():
    public = (interface.__doc__ or "").partition("models share: ")[2]
    assert set(re.findall(r"`(\w+)`", public)) - {"bench"} == set(PARTS)


def classes_of(annotation: Any) -> set[type]:
    """The classes that a type is made of: of `tuple[Batch, ...] | None` tuple, Batch and NoneType."""
    if isinstance(annotation, list):  # the arguments of a Callable
        return set().union(*map(classes_of, annotation))
    parts = get_args(annotation)
    return set().union(*map(classes_of, parts)) if parts else {annotation} if inspect.isclass(annotation) else set()


@pytest.mark.parametrize("cls", [interface.PairModel, interface.Inference, interface.Task])
def test_a_model_file_needs_no_other_import_of_the_harness_for_the_types_it_is_given(cls):
    methods = [value for value in vars(cls).values() if inspect.isfunction(value)]
    types = set().union(*(classes_of(hint) for method in methods for hint in get_type_hints(method).values()))
    of_the_harness = {cls.__name__ for cls in types if cls.__module__.startswith("bench.")}
    assert of_the_harness <= set(interface.__all__)


def test_type_checkers_are_told_that_the_package_has_types():
    assert files("bench").joinpath("py.typed").is_file()
