"""The figure of a trained memory: of the run's own model, on the documents it was tested on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import made_records
import numpy as np
import pytest
import torch
from small_experiments import execute, plans

from bench.analysis.aggregate import Cell, load_cells
from bench.analysis.systems import System, systems_of
from bench.data.catalog.dataset import open_dataset
from bench.errors import BenchError
from bench.inference.load import load_system
from bench.nn.encoder_source import saved_encoder
from bench.report.figures.memory import memory_figures
from bench.report.figures.projection import keep_projection, kept_projection, principal
from bench.report.figures.trained_memory import project
from bench.runs.archive import ARCHIVE, write_archive
from bench.runs.run_folder import run_folders
from bench.runs.stage_folder import stage_folder
from ttmre.memory import MemoryRead

pytestmark = pytest.mark.usefixtures("small")


def test_head_tokens_that_are_all_the_same_have_no_variance_to_be_a_share_of(monkeypatch, tmp_path):
    of, heads = made_records.plan("ttmre"), np.ones((4, 3))
    stage = of.stages[0].model_copy(update={"hyperparameters": {"memory": 2}})
    made = of.model_copy(update={"stages": (stage,)})
    system = System.of_cell(Cell((made,), (made_records.record(made, [[1, 2, 3, 0]]),), ()), "")
    for tokens in (np.eye(3)[:2], np.ones((2, 3))):
        projection = principal(heads, tokens)
        assert np.isfinite(projection.explained).all()
        monkeypatch.setattr("bench.report.figures.memory.kept_projection", lambda key, made=projection: made)
        ((drawn,), problems) = memory_figures(tmp_path, [system])
        assert drawn.caption.endswith("(Figure 5 of the paper). All head tokens are the same.")
        assert not problems


@pytest.fixture(scope="module")
def trained(small_home, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        out = tmp_path_factory.mktemp("out")
        assert execute(out, plans("ttmre:memory=7:layers=1:heads=2")) == []
        assert execute(out, plans("atlop")) == []
    return out


def test_it_shows_the_memory_tokens_of_the_selected_model_and_every_head(trained: Path):
    (system,) = [system for system in systems_of(load_cells(trained)) if system.plan.model == "ttmre"]
    projection = project(trained, system.plan)
    assert projection is not None
    stage = system.plan.stages[-1]
    source = saved_encoder("tiny", stage_folder(trained, stage) / "encoder")
    model = load_system(trained, stage, source, torch.device("cpu")).model
    tokens = model.read.memory_tokens.detach().numpy()  # type: ignore[union-attr]
    assert len(projection.tokens) == 7
    # Distances between tokens in the figure are at most those in the model, where all dimensions count.
    distances, shown = (np.linalg.norm(t[:, None] - t[None], axis=2) for t in (tokens, projection.tokens))
    assert (shown <= distances + 1e-5).all()
    documents = open_dataset("small").documents("test")
    assert len(projection.heads) == sum(len(d.entities) * (len(d.entities) - 1) for d in documents)


def test_it_says_how_much_of_what_is_read_differs_from_pair_to_pair(trained: Path, monkeypatch, tmp_path):
    (system,) = [system for system in systems_of(load_cells(trained)) if system.plan.model == "ttmre"]
    projection = project(trained, system.plan)
    assert projection is not None
    assert 1e-4 < projection.between < 1
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    keep_projection("key", replace(projection, between=2e-5))
    kept = kept_projection("key")
    assert kept is not None
    assert (kept.between, kept.spread) == (2e-5, projection.spread)


def test_where_all_pairs_read_the_same_the_memory_is_said_to_be_a_bias(trained: Path):
    def constant(read: MemoryRead, pair: torch.Tensor) -> torch.Tensor:
        return read.memory_tokens[:2].expand_as(pair)

    systems = [system for system in systems_of(load_cells(trained)) if system.plan.model == "ttmre"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryRead, "forward", constant)
        patch.setattr("bench.report.figures.memory.kept_projection", lambda key: None)
        patch.setattr("bench.report.figures.memory.keep_projection", lambda key, projection: None)
        (drawn,), _ = memory_figures(trained, systems)
    assert drawn.caption.endswith(
        " All pairs read the same: less than 0.01% of its mean square differs; the memory is a bias."
    )


def test_it_is_drawn_of_models_with_a_memory_alone_and_kept(trained: Path, small_home: Path):
    drawn, problems = memory_figures(trained, systems_of(load_cells(trained)))
    assert [figure.section for figure in drawn] == ["memory"]
    assert problems == []
    assert "7 memory tokens" in drawn[0].alt
    stored = list((small_home / "memory-figures").iterdir())
    assert len(stored) == 1
    again, _ = memory_figures(trained, systems_of(load_cells(trained)))
    assert again[0].caption == drawn[0].caption
    stored[0].write_bytes(stored[0].read_bytes()[:300])
    anew, problems = memory_figures(trained, systems_of(load_cells(trained)))
    assert (anew[0].caption, problems) == (drawn[0].caption, [])


def test_a_model_that_is_gone_is_told(trained: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    (system,) = [system for system in systems_of(load_cells(trained)) if system.plan.model == "ttmre"]
    with pytest.raises(BenchError, match="cannot be used"):
        project(tmp_path, system.plan)
    for folder in run_folders(trained):
        (tmp_path / "runs" / folder.name).mkdir(parents=True)
    _, (problem,) = memory_figures(tmp_path, [system])
    assert "is not drawn: its model cannot be used" in problem


def test_of_an_archive_which_has_no_weights_nothing_is_said(trained: Path, tmp_path: Path, monkeypatch):
    archive = tmp_path / "archive"
    write_archive(archive / ARCHIVE, run_folders(trained))
    monkeypatch.setattr("bench.report.figures.memory.kept_projection", lambda key: None)
    assert memory_figures(archive, systems_of(load_cells(archive))) == ([], [])


def test_a_figure_of_the_same_points_is_the_same_whatever_sign_the_solver_gives():
    points = np.random.default_rng(1).normal(size=(20, 4))
    one, two = principal(points, points[:3]), principal(points[::-1], points[:3])
    assert np.sort(one.heads[:, 0]) == pytest.approx(np.sort(two.heads[:, 0]))
