"""What runs are carried out with: documents, features and encoder, and whether they are what was planned with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.data.catalog.dataset import Dataset
from bench.data.features.cache import PartMaker, features_of, usable_processes
from bench.data.features.feature_file import FeatureFile
from bench.errors import UsageError
from bench.filesystem import home
from bench.inference.changed_code import changed_code, changed_inference
from bench.inference.load import reads_words
from bench.inference.signals import SignalFile
from bench.locks import NO_HURRY, Waiting
from bench.nn.encoder_source import EncoderSource
from bench.runs.plan import HARNESS_VERSION, METRIC_VERSION, RunPlan, StagePlan
from bench.training.trainer import StageData

Watch = Callable[[str], Callable[[int, int], None]]
"""Given what is done, in words, what is told how many of how many documents are done."""


def unwatched(doing: str) -> Callable[[int, int], None]:
    """A watch that nobody looks at."""
    return lambda done, of: None


@dataclass
class Inputs:
    """What the runs of one (data set, encoder, length) share: documents, features, encoder.

    waiting: how to wait for another process that makes the features.
    """

    dataset: Dataset
    source: EncoderSource
    max_length: int
    waiting: Waiting = NO_HURRY

    def features(self, split: str, words: bool = False, watch: Watch = unwatched) -> FeatureFile:
        """The cached features of a split, with its words if they are wanted, built the first time anyone asks.

        watch: is told how far that is.
        """
        on_progress, of = watch(f"features of {split}"), self.dataset.count(split)
        dataset, source = self.dataset, self.source
        folder, relations = home() / "features", dataset.relations
        maker = PartMaker(folder, self._words, source.fingerprint, relations, self.max_length, words)
        chunks, checksum = dataset.chunks(split), dataset.checksum(split)
        return features_of(
            chunks, checksum, maker, usable_processes(), self.waiting, lambda documents: on_progress(documents, of)
        )

    @cached_property
    def _words(self) -> Any:
        return self.source.words()

    def stage_data(self, plan: StagePlan, signals: SignalFile | None, watch: Watch = unwatched) -> StageData:
        """What a stage reads, with its teacher's signals if it has one. watch: as for `features`."""
        words = reads_words(plan)
        return StageData(
            train=self.features(plan.train_split, words, watch),
            select=self.features(plan.select_split, words, watch),
            select_documents=self.dataset.documents(plan.select_split),
            signals=signals,
        )


def check_unchanged(plan: RunPlan, dataset: Dataset, encoder_fingerprint: str) -> None:
    """Versions, data, encoder and code must be those that were planned with: the run's key says so.

    Raises UsageError.
    """
    same = {
        f"the version of the metric (now {METRIC_VERSION})": plan.metric == METRIC_VERSION,
        "the dev documents": dataset.checksum("dev") == plan.dev_checksum,
        "the test documents": dataset.checksum("test") == plan.test_checksum,
        "the facts for Ign F1": dataset.facts_source()["sha256"] == plan.facts_checksum,
    }
    for stage in plan.stages:
        same |= {
            f"the version of the harness (now {HARNESS_VERSION})": stage.harness == HARNESS_VERSION,
            f"the {stage.data} documents": dataset.checksum(stage.train_split) == stage.train_checksum,
            f"the {stage.training.select_on} documents": dataset.checksum(stage.select_split) == stage.select_checksum,
            "the relations": dataset.relations == stage.relations,
            f"the encoder {plan.encoder!r}": encoder_fingerprint == stage.encoder_fingerprint,
        }
        same |= {f"the code of {name}": False for name in changed_code(stage)}
    same |= {f"the code of {name}": False for name in changed_inference(plan)}
    changed = [what for what, holds in same.items() if not holds]
    if changed:
        raise UsageError(
            f"changed since this run was planned: {', '.join(changed)} (data set {plan.dataset!r}). "
            "Run the same command again to plan it anew"
        )
