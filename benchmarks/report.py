"""How long `bench report` takes, and how much memory, on many made-up records of the size of Re-DocRED's.

    python benchmarks/report.py --records 1000

Records are of 500 dev and 500 test documents, 96 relations, slices in both protocols and 30 epochs, like those of a
real run; their numbers are random. The report is made in a process of its own, from the records alone: without data
sets and models.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.interface import Training
from bench.metrics.official import Counts
from bench.runs.plan import RunPlan, StagePlan
from bench.runs.record import DocumentCounts, RunRecord, Scores, SplitRecord, StageRecord
from bench.runs.run_folder import RunFolder

DOCUMENTS, RELATIONS, EPOCHS = 500, 96, 30
MODELS = ("atlop", "ssrpu", "ttmre", "dreeam", "kd_docre", "pu", "spu", "pn")
SETTINGS = ("human", "distant", "human+distant", "ext", "ext+distant")
ENCODERS = ("roberta-large", "bert-base-cased", "roberta-base", "microsoft/deberta-v3-large", "minilm")
SLICES = ("top_10", "all_but_top_10", "top_5", "all_but_top_5", "intra", "inter", "below_25th_percentile",
          "not_below_25th_percentile", "at_most_10", "11-15", "16-20", "21-25", "more_than_25")  # fmt: skip


def plan(model: str, setting: str, encoder: str, seed: int) -> RunPlan:
    data = {"human+distant": ("distant", "human"), "ext+distant": ("distant", "ext")}.get(setting, (setting,))
    stages: list[StagePlan] = []
    for source in data:
        stages.append(
            StagePlan(
                model=model, reference=model, class_name=model, code=model, hyperparameters={"pair_size": 768},
                training=Training(epochs=EPOCHS), freeze=(), data=source, dataset="redocred", train_checksum=source,
                select_checksum="dev", relations=tuple(f"P{i}" for i in range(RELATIONS)), encoder=encoder,
                encoder_fingerprint=encoder, max_length=1024, seed=seed, position=len(stages),
                after=stages[-1].key if stages else None,
            )
        )  # fmt: skip
    return RunPlan(
        model=model, variant="", dataset="redocred", setting=setting, encoder=encoder, seed=seed, stages=tuple(stages),
        dev_checksum="dev", test_checksum="test", facts_checksum="facts", distant_checksum="distant",
    )  # fmt: skip


def split_record(generator: np.random.Generator, split: str) -> SplitRecord:
    gold = generator.poisson(35, DOCUMENTS)
    predicted = generator.poisson(33, DOCUMENTS)
    correct = generator.binomial(np.minimum(gold, predicted), 0.8)
    seen = generator.binomial(correct, 0.1)
    total = Counts(int(correct.sum()), int(predicted.sum()), int(gold.sum()), int(seen.sum()))
    scores = Scores(f1=total.f1, ign_f1=total.ign_f1, precision=total.precision, recall=total.recall)
    frequency = np.sort(generator.zipf(1.3, RELATIONS).clip(1, 5000))[::-1]
    return SplitRecord(
        scores=scores, macro_f1=40.0,
        slices={protocol: dict.fromkeys(SLICES, scores) for protocol in ("strict", "released")},
        relations={f"P{i}": (int(n * generator.uniform(0.3, 0.9)), int(n), int(n)) for i, n in enumerate(frequency)},
        documents=DocumentCounts(
            titles=[f"{split} document {i} of some length" for i in range(DOCUMENTS)], correct=correct.tolist(),
            predicted=predicted.tolist(), gold=gold.tolist(), correct_in_facts=seen.tolist(),
        ),
        mentions_cut=0,
    )  # fmt: skip


def write_records(out: Path, count: int) -> None:
    seeds = range(-(-count // (len(MODELS) * len(SETTINGS) * len(ENCODERS))))
    every = itertools.product(ENCODERS, SETTINGS, MODELS, seeds)
    for number, (encoder, setting, model, seed) in enumerate(itertools.islice(every, count)):
        generator = np.random.default_rng(number)
        planned = plan(model, setting, encoder, seed)
        stages = [
            StageRecord(
                key=stage.key, data=stage.data, dev_f1=np.sort(generator.uniform(20, 80, EPOCHS)).tolist(),
                selected_epoch=EPOCHS, documents=3053, mentions_cut=0,
            )
            for stage in planned.stages
        ]  # fmt: skip
        named = ("key", "configuration", "model", "variant", "dataset", "setting", "encoder", "seed")
        record = RunRecord(
            **{name: getattr(planned, name) for name in named}, facts={"file": "train_annotated.fact"}, stages=stages,
            splits={split: split_record(generator, split) for split in ("dev", "test")},
        )  # fmt: skip
        folder = RunFolder.of(out, planned)
        folder.announce(planned)
        folder.write_record(record)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="Put the records and the report here, and use what is there.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = options.keep or Path(temporary)
        if not (out / "runs").is_dir():
            write_records(out, options.records)
        size = sum(path.stat().st_size for path in out.glob("runs/*/*.json"))
        environment = {**os.environ, "BENCH_HOME": str(out / "home")}
        for arguments in ([], ["--no-figures"]):
            command = [sys.executable, "-m", "bench", "report", "--out", str(out), *arguments]
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
            wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
            figures = {
                "report": " ".join(["bench report", *arguments]), "records": options.records, "records_MB": size / 1e6,
                "seconds": wall, "cpu_seconds": after.ru_utime - before.ru_utime, "peak_MiB": after.ru_maxrss / 1024,
                "page_MB": (out / "report" / "report.html").stat().st_size / 1e6,
            }  # fmt: skip
            print(json.dumps({name: round(v, 2) if isinstance(v, float) else v for name, v in figures.items()}))


if __name__ == "__main__":
    main()
