"""The model card of runs that differ in their seed alone: README.md with metadata, as the Hugging Face Hub reads it.

Everything in it is from plans and records. It holds no licence but one that somebody names, no path of a machine, and
what may not be claimed from so many seeds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from bench.analysis.aggregate import Cell, Score, mean_and_std
from bench.analysis.metrics import PRINTED, Metric
from bench.analysis.systems import System, systems_of
from bench.data.catalog.dataset import SAMPLE
from bench.data.catalog.registration import load_registration, registered_names, registration_path
from bench.data.conventions import DOCRED
from bench.errors import UsageError, plural
from bench.points import points
from bench.report.tables.notes import documents_notes, notes_on
from bench.runs.names import NO_ENCODER
from bench.runs.plan import RunPlan, StagePlan
from bench.runs.record import RunRecord
from bench.runs.run_folder import RunFolder, not_finished

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

README = "README.md"
LIBRARY = "docre-bench"
TASK = ("relation-extraction", "Document-level relation extraction")
"""As `model-index` names what was measured: its type, and what people call it."""
METRIC_TYPES = {"f1": "f1", "ign_f1": "f1", "precision": "precision", "recall": "recall"}
"""The metrics of the Hub (https://hf.co/metrics), by what our scores are; their names say which F1 it is."""
SPLITS = {"dev": "validation", "test": "test"}
"""What the Hub calls our splits."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
NOT_ON_THE_HUB = ("tiny", "minilm", NO_ENCODER, "unstated")
"""Encoders that are no model of the Hub by that name."""


def cell_of(folders: Sequence[RunFolder]) -> Cell:
    """The runs as one cell; those that are not finished are among its plans, and why is among its errors.

    Raises UsageError where none is finished, where a plan cannot be read, where they differ in more than their seed,
    and for predictions that were made elsewhere, of which there is no model.
    """
    plans: dict[int, RunPlan] = {}
    records: dict[int, RunRecord] = {}
    errors: dict[int, str] = {}
    kinds: dict[tuple[str, ...], str] = {}
    for folder in folders:
        found = folder.verdict()
        if found.plan is None:
            raise UsageError(f"{folder.path}: {found.why}")
        if found.plan.outside is not None:
            raise UsageError(f"{folder.name}: its predictions were made elsewhere: there is no model to describe")
        kinds.setdefault(_all_but_seed(found.plan), folder.name)
        plans[found.plan.seed] = found.plan
        if found.record is None:
            errors[found.plan.seed] = f"{folder.path} is not a finished run: {not_finished(folder)}"
        else:
            records[found.plan.seed] = found.record
    if len(kinds) > 1:
        listed = "\n".join(f"  {name}" for name in kinds.values())
        raise UsageError(
            "a card is of runs that differ in their seed alone; these differ in more. "
            f"Name the runs, or a row with data set and encoder as `bench status` prints it:\n{listed}"
        )
    if not records:
        raise UsageError("\n".join(errors.values()))
    by_seed = sorted(plans)
    return Cell(
        tuple(plans[seed] for seed in by_seed),
        tuple(records[seed] for seed in by_seed if seed in records),
        tuple(errors[seed] for seed in by_seed if seed in errors),
    )


def _all_but_seed(plan: RunPlan) -> tuple[str, ...]:
    return plan.model, plan.variant, plan.dataset, plan.setting, plan.encoder, plan.configuration


@dataclass(frozen=True)
class Said:
    """What no record says, and somebody may say for the card.

    license: as the Hub names it; without one the card has none.   dataset: the data set's name on the Hub, where it is
    not known by where the data set was registered from.
    base_model: the encoder's name on the Hub, where runs know it by another, such as a folder's.
    """

    license: str | None = None
    dataset: str | None = None
    base_model: str | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for what no data set or model of the Hub can be called."""
        for option, name in (("--hub-dataset", self.dataset), ("--base-model", self.base_model)):
            if name is not None and not HUB_ID.fullmatch(name):
                raise UsageError(f"{option} {name!r}: nothing on the Hub has such a name; expected OWNER/NAME")


NOTHING_SAID = Said()


def card_text(cell: Cell, said: Said = NOTHING_SAID, name: str = "") -> str:
    """The card of a cell with at least one record, its metadata checked by `huggingface_hub`.

    name: of the model in `model-index`; empty for one that is made of what it is.
    """
    from huggingface_hub import ModelCard

    (system,) = systems_of([cell])
    if said.dataset is None:
        said = replace(said, dataset=dataset_on_hub(system.plan))
    data = _metadata(system, name or _name(system.plan), said)
    body = "\n".join(line for section in _sections(system) for line in (*section, ""))
    # Parsed again: what the Hub could not read is an error here, not there.
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def dataset_on_hub(plan: RunPlan) -> str | None:
    """The repository of the Hub that the documents of a run are from; None where that is not known here.

    It is where the data set is registered as one of the Hub, with the test documents that the run was evaluated on.
    """
    if plan.dataset not in registered_names():
        return None
    registration = load_registration(registration_path(plan.dataset))
    test = registration.splits["test"]
    same = registration.checksum(test.checksum) == plan.test_checksum
    return registration.source.repository if registration.source and same else None


def is_card(path: Path) -> bool:
    """Whether a file is a card that was made here: of another, nothing is written over."""
    try:
        return f"\nlibrary_name: {LIBRARY}\n" in path.read_text("utf-8")
    except (OSError, ValueError):
        return False


def base_model(encoder: str) -> str | None:
    """The encoder as a model of the Hub; None where its name is a folder's, or one that the harness makes."""
    there = encoder not in NOT_ON_THE_HUB and HUB_ID.fullmatch(encoder) and not Path(encoder).exists()
    return encoder if there else None


def encoder_name(encoder: str) -> str:
    """The encoder as it may be told: of a folder its name, not where it lies."""
    return encoder if HUB_ID.fullmatch(encoder) else PurePath(encoder).name or encoder


def _name(plan: RunPlan) -> str:
    parts = (plan.model, plan.variant, plan.dataset, plan.setting, encoder_name(plan.encoder).rpartition("/")[2])
    return "-".join(re.sub(r"[^\w.+=-]+", "-", part) for part in parts if part)


def _metadata(system: System, name: str, said: Said) -> ModelCardData:
    from huggingface_hub import ModelCardData

    return ModelCardData(
        license=said.license,
        library_name=LIBRARY,
        base_model=said.base_model or base_model(system.plan.encoder),
        datasets=[said.dataset] if said.dataset else None,
        tags=["relation-extraction", "document-level-relation-extraction", "docre", system.plan.model],
        metrics=sorted(set(METRIC_TYPES.values())),
        model_name=name,
        eval_results=list(_eval_results(system, said.dataset)),
    )


def _eval_results(system: System, dataset: str | None) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    for split, hub_split in SPLITS.items():
        for metric in PRINTED:
            score = system.score(split, metric.name)
            if score is None or score.mean is None:
                continue
            yield EvalResult(
                task_type=TASK[0],
                task_name=TASK[1],
                dataset_type=dataset or system.plan.dataset,
                dataset_name=system.plan.dataset,
                dataset_split=hub_split,
                metric_type=METRIC_TYPES[metric.name],
                metric_name=f"{metric.title} (percent{_over_seeds(score)})",
                metric_value=float(points(score.mean)),
            )


def _over_seeds(score: Score) -> str:
    return "" if score.std is None else f", mean of {score.n} seeds, standard deviation {points(score.std)}"


def _sections(system: System) -> Iterator[list[str]]:
    plan = system.plan
    yield [f"# {system.name} on {plan.dataset}", "", *_what_it_is(system)]
    yield ["## Scores", "", *_score_table(system)]
    yield ["## What may be claimed", "", *(f"- {said}" for said in _claims(system))]
    yield ["## How it was trained", "", *_training(system)]
    yield ["## Data", "", *_data(plan, system.cell.records[0])]
    yield ["## Predicting with it", "", *_use(system)]


def _what_it_is(system: System) -> Iterator[str]:
    plan, last = system.plan, system.plan.last
    assert last is not None
    encoder = "without an encoder" if last.is_counted else f"with the encoder {encoder_name(plan.encoder)}"
    what = f"A model for document-level relation extraction: {system.name} {encoder}"
    by = f"docre-bench (version {last.harness} of its harness; this card by docre-bench {version(LIBRARY)})"
    if plan.imported is None:
        yield f"{what}, trained on {plan.dataset} in the setting {plan.setting} by {by}."
    else:
        said = "".join(f"; {part}" for part in (plan.imported.source, plan.imported.note) if part)
        yield (
            f"{what}, trained elsewhere, by the program of {plan.imported.mapping}, as is said in the setting "
            f"{plan.imported.setting} ({plan.imported.file}, sha256 `{plan.imported.sha256}`{said}); evaluated on "
            f"{plan.dataset} by {by}."
        )
    yield from _how_it_decides(system)


def _how_it_decides(system: System) -> Iterator[str]:
    """By which inference, where that is not the model's own, and what each seed chose on dev to decide by."""
    if system.plan.inference is not None:
        yield ""
        yield f"It does not decide by its logits alone, but by the inference {system.plan.inference.class_name}."
    chosen = [f"seed {record.seed} {record.chosen}" for record in system.cell.records if record.chosen]
    if chosen:
        yield ""
        yield f"Chosen on dev to decide by: {'; '.join(chosen)}."


def _score_table(system: System) -> Iterator[str]:
    columns = [
        (f"{split} {metric.title}", split, metric)
        for split in SPLITS
        for metric in PRINTED
        if any(_value(record, split, metric) is not None for record in system.cell.records)
    ]
    yield "| seed | " + " | ".join(title for title, _, _ in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for record in system.cell.records:
        values = (_value(record, split, metric) for _, split, metric in columns)
        cells = ("—" if value is None else points(value) for value in values)
        yield f"| {record.seed} | " + " | ".join(cells) + " |"
    if len(system.cell.records) > 1:
        scores = (system.score(split, metric.name) for _, split, metric in columns)
        yield "| **mean ± std** | " + " | ".join(mean_and_std(score) if score else "—" for score in scores) + " |"
    yield ""
    ign = " Ign F1 leaves out what the training documents state between the same names."
    yield (
        "In percent, micro-averaged over triples."
        + ign * any(metric.name == "ign_f1" for _, _, metric in columns)
        + " The deviation is that of a sample (n - 1)." * (len(system.cell.records) > 1)
    )


def _value(record: RunRecord, split: str, metric: Metric) -> float | None:
    value: float | None = metric.of_split(record.splits[split]) if split in record.splits else None
    return value


def _claims(system: System) -> Iterator[str]:
    records, plan = system.cell.records, system.plan
    if len(records) == 1:
        yield (
            f"This is one seed ({records[0].seed}). Another gives other numbers, and from one it cannot be known how "
            f"far they lie apart: that {system.name} is better or worse than another model may not be claimed from "
            "these, however far apart the two numbers are."
        )
    else:
        yield (
            f"{plural(len(records), 'seed')}, of {system.expected} planned. That {system.name} is better or worse than "
            "another model takes a test over seeds and documents of both (`bench compare`): two means with their "
            "deviations do not decide it."
        )
    if plan.learnt is not None and plan.learnt.training.select == "best":
        yield "The epoch was chosen by F1 on dev: dev scores are those of what was best there, and optimistic."
    if plan.dataset == SAMPLE:
        yield "The documents are generated, for trying out: scores on them say nothing about real ones."
    if not any("test" in record.splits for record in records):
        yield "The test documents have no labels here: nothing is known of test."
    notes = [*documents_notes(system.cell, tuple(SPLITS)), *notes_on([system], tuple(SPLITS))]
    yield from (f"{note}.".replace(plan.encoder, encoder_name(plan.encoder)) for note in dict.fromkeys(notes))


def _training(system: System) -> Iterator[str]:
    plan, record = system.plan, system.cell.records[0]
    if plan.imported is None:
        yield from _stages(system, record)
    else:
        yield "Not here. What follows is what it was read, and evaluated, with."
    for number, planned in enumerate(plan.stages, 1):
        yield ""
        yield f"Stage {number}, every setting:"
        yield ""
        yield from (f"    {line}" for line in _settings(planned))
    yield ""
    keys = ", ".join(f"{seed.seed}: `{seed.key}`" for seed in system.cell.plans if _is_recorded(system, seed))
    yield f"Keys of the runs, hashes of all that decides their results, by seed: {keys}."
    yield f"What the seeds share: `{plan.configuration_name}`."


def _stages(system: System, record: RunRecord) -> Iterator[str]:
    """The stages of a run that was made here, as a table. What is counted has no epochs."""
    if system.plan.learnt is None:
        yield "| stage | fitted on | documents | dev F1 after it |"
        yield "|---|---|---:|---:|"
        for number, stage in enumerate(record.stages, 1):
            yield f"| {number} | {stage.data} | {stage.documents:,} | {points(stage.dev_f1[-1])} |"
        return
    several = "" if len(system.cell.records) == 1 else f" (epochs and dev F1: seed {record.seed})"
    yield f"| stage{several} | trained on | documents | epochs | selected | dev F1 of it | computed in |"
    yield "|---|---|---:|---:|---:|---:|---|"
    for number, stage in enumerate(record.stages, 1):
        best = points(stage.dev_f1[stage.selected_epoch - 1])
        epochs = f"{len(stage.dev_f1)} | {stage.selected_epoch}"
        yield f"| {number} | {stage.data} | {stage.documents:,} | {epochs} | {best} | {stage.precision or '—'} |"


def _is_recorded(system: System, plan: RunPlan) -> bool:
    return any(record.key == plan.key for record in system.cell.records)


def _settings(stage: StagePlan) -> Iterator[str]:
    if not stage.is_counted:
        yield f"max_length = {stage.max_length}"
        yield from (f"{key} = {value}" for key, value in stage.training.model_dump(mode="json").items())
    if stage.loss is not None:
        yield f"loss = {stage.loss.name}"
        yield from (f"{key} = {value}" for key, value in stage.loss.hyperparameters.items())
    if stage.freeze:
        yield f"frozen parameters = {', '.join(stage.freeze)}"
    yield from (f"{key} = {value}" for key, value in stage.hyperparameters.items())


def _data(plan: RunPlan, record: RunRecord) -> Iterator[str]:
    checksums = {f"{stage.data} (training)": stage.train_checksum for stage in plan.stages if stage.train_checksum}
    checksums |= {s.training.select_on: s.select_checksum for s in plan.stages if s.select_checksum}
    checksums |= {"dev": plan.dev_checksum, "test": plan.test_checksum}
    if record.facts.get("sha256"):
        facts = record.facts.get("file") or f"computed from {record.facts.get('computed from')}"
        checksums[f"facts of Ign F1 ({facts})"] = record.facts["sha256"]
    yield f"{plan.dataset}, {plural(len(plan.relations), 'relation')}, known by its content:"
    yield ""
    yield "| file | sha256 |"
    yield "|---|---|"
    for what, checksum in checksums.items():
        yield f"| {what} | `{checksum}` |"
    for what in DOCRED:
        if what in record.conventions:
            yield ""
            yield f"{what.capitalize()}: {record.conventions[what]}."


def _use(system: System) -> Iterator[str]:
    last, record = system.plan.last, system.cell.records[0]
    assert last is not None
    if last.is_counted:
        yield f"It has no weights: `bench run --models {system.plan.model}` fits it anew on the same documents."
        return
    yield (
        "With docre-bench installed, and `runs/` and `stages/` of this repository in a folder `model`; documents in "
        "DocRED's form or any other that docre-bench reads:"
    )
    yield ""
    yield f"    bench predict s{record.seed}-{record.key} documents.json --out model"
