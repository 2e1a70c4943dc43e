"""From an experiment to the runs and stages it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.data.catalog.dataset import Dataset
from bench.data.documents import Document
from bench.errors import UsageError
from bench.experiment.config import Experiment
from bench.experiment.losses import ResolvedLoss
from bench.experiment.variants import Variant, resolve_stages, variant_name
from bench.label_share import share_of
from bench.nn.encoder_source import TINY, EncoderSource
from bench.registry import ModelEntry, code_version, find, loss_version
from bench.runs.names import NO_ENCODER
from bench.runs.plan import (
    HARNESS_VERSION,
    METRIC_VERSION,
    SPLIT_OF,
    InferencePlan,
    LossPlan,
    RunPlan,
    StagePlan,
    split_for,
)
from bench.runs.settings import RunSetting, parts_of


def make_plan(experiment: Experiment, dataset: Dataset, encoder: EncoderSource) -> list[RunPlan]:
    """Every run of the experiment, seed by seed within a setting. Raises UsageError for what cannot be run."""
    needed = {"train", "dev", "test"}
    for setting, variant in experiment.cells:
        for stage in resolve_stages(variant, setting, experiment.overrides):
            share = parts_of(setting).share
            needed |= {split_for(split, share) for split in (SPLIT_OF[stage.stage.data], stage.training.select_on)}
    missing = sorted({share_of(split)[0] for split in needed} - set(dataset.splits))
    if missing:
        raise UsageError(
            f"the data set {dataset.name!r} has no {' and no '.join(missing)} documents, which "
            f"{', '.join(experiment.settings)} need{'s' if len(experiment.settings) == 1 else ''}. "
            f"It has: {', '.join(dataset.splits)} (`bench data add` registers more)"
        )
    if encoder.config is not None and _reads_pieces(experiment) and experiment.max_length <= encoder.specials:
        raise UsageError(
            f"--max-length {experiment.max_length} leaves no room for a word beside the {encoder.specials} special "
            f"tokens of the encoder {encoder.name!r}"
        )
    plans = [
        _plan_run(experiment, variant, setting, seed, dataset, encoder)
        for setting, variant in experiment.cells
        for seed in experiment.seeds
    ]
    return list({plan.folder: plan for plan in plans}.values())  # a model named twice is run once


def _reads_pieces(experiment: Experiment) -> bool:
    """Whether a model of the experiment reads what an encoder, or its tokenizer alone, makes of documents."""
    return any(trained_as(variant.entry).cls.reads != "documents" for _, variant in experiment.cells)


def _plan_run(
    experiment: Experiment, variant: Variant, setting: RunSetting, seed: int, dataset: Dataset, encoder: EncoderSource
) -> RunPlan:
    stages: list[StagePlan] = []
    share = parts_of(setting).share
    trained = trained_as(variant.entry)
    counted = trained.cls.reads == "documents"
    encoder_name = NO_ENCODER if counted else encoder.name
    for resolved in resolve_stages(variant, setting, experiment.overrides):
        source = resolved.stage.data
        train, select = (split_for(split, share) for split in (SPLIT_OF[source], resolved.training.select_on))
        thinned = next((of for of in (share_of(train)[1], share_of(select)[1]) if of), None)
        if resolved.training.freeze_encoder and trained.cls.reads == "pieces":
            raise UsageError(f"{trained.name} reads word pieces: it has no encoder to be frozen (freeze_encoder)")
        if resolved.training.compile and (resolved.training.freeze_encoder or trained.cls.reads == "pieces"):
            raise UsageError(f"{trained.name}: compile is for an encoder that is trained, and this stage trains none")
        # Of an encoder that is not here a dry run has the name alone.
        if encoder.config is not None and trained.cls.reads in ("pairs", "tokens"):
            encoder.check(attention=trained.cls.reads == "pairs", window=resolved.training.window)
        before = stages[-1].key if stages else None
        stages.append(
            StagePlan(
                harness=HARNESS_VERSION,
                model=trained.name,
                reference=trained.reference,
                class_name=trained.cls.__qualname__,
                code=code_version(trained.cls),
                hyperparameters=resolved.hyperparameters,
                training=resolved.training,
                freeze=resolved.stage.freeze,
                data=source,
                dataset=dataset.name,
                train_checksum=dataset.checksum(train),
                select_checksum=dataset.checksum(select),
                relations=dataset.relations,
                encoder=encoder_name,
                encoder_fingerprint=NO_ENCODER if counted else encoder.fingerprint,
                causal=encoder.traits.causal and trained.cls.reads in ("pairs", "tokens"),
                max_length=0 if counted else experiment.max_length,
                seed=seed,
                position=len(stages),
                after=None if resolved.stage.signal else before,
                teacher=before if resolved.stage.signal else None,
                signal=resolved.stage.signal,
                relation_texts=dataset.relation_texts() if trained.cls.reads_relation_texts else None,
                loss=_loss(resolved.loss),
                label_share=None if thinned is None else str(thinned.deciding),
            )
        )
    return RunPlan(
        metric=METRIC_VERSION,
        model=variant.entry.name,
        variant=variant_name(variant, setting, experiment.named),
        dataset=dataset.name,
        setting=setting,
        encoder=encoder_name,
        seed=seed,
        stages=tuple(stages),
        dev_checksum=dataset.checksum("dev"),
        test_checksum=dataset.checksum("test"),
        facts_checksum=dataset.facts_source()["sha256"],
        distant_checksum=dataset.checksum("distant") if "distant" in dataset.splits else None,
        inference=_inference(variant.entry),
        not_applicable=dict(variant.entry.cls.recipe.not_applicable),
    )


def _loss(loss: ResolvedLoss | None) -> LossPlan | None:
    if loss is None:
        return None
    cls = loss.entry.cls
    return LossPlan(
        name=loss.entry.name,
        reference=loss.entry.reference,
        class_name=cls.__qualname__,
        code=loss_version(cls),
        hyperparameters=loss.hyperparameters.model_dump(mode="json"),
    )


def trained_as(entry: ModelEntry) -> ModelEntry:
    """The model whose training this one uses: its own, unless it differs from another in inference alone."""
    return find(entry.cls.trains_as) if entry.cls.trains_as else entry


def _inference(entry: ModelEntry) -> InferencePlan | None:
    if entry.cls.inference is None:
        return None
    return InferencePlan(
        reference=entry.reference, class_name=entry.cls.__qualname__, code=code_version(entry.cls.inference)
    )


def planned_runs(
    experiments: Sequence[Experiment],
    open_dataset: Callable[[str], Dataset],
    find_encoder: Callable[[str, Sequence[Document]], EncoderSource],
) -> list[tuple[Experiment, list[RunPlan]]]:
    """The runs of each experiment, without those of the experiments before it."""
    datasets = {name: open_dataset(name) for name in dict.fromkeys(e.dataset for e in experiments)}
    encoders: dict[tuple[str, str], EncoderSource] = {}
    seen: set[str] = set()
    planned = []
    for experiment in experiments:
        dataset, name = datasets[experiment.dataset], experiment.encoder
        source = EncoderSource(NO_ENCODER, NO_ENCODER, None, None, None)
        if _reads_pieces(experiment):
            if (dataset.name, name) not in encoders:
                # Only `tiny` takes its words from the documents, and reading them takes longer than all of the rest.
                encoders[dataset.name, name] = find_encoder(name, dataset.documents("train") if name == TINY else ())
            source = encoders[dataset.name, name]
        plans = make_plan(experiment, dataset, source)
        planned.append((experiment, [plan for plan in plans if plan.folder not in seen]))
        seen |= {plan.folder for plan in plans}
    return planned
