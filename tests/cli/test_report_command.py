"""`bench report`: from a folder of records to files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from made_records import plan, write

from bench.report.figures.files import Drawing, write_figures
from bench.report.figures.series import Strip
from bench.runs.run_folder import RunFolder


@pytest.fixture
def out(tmp_path: Path, monkeypatch) -> Path:
    """Two models of three seeds, one of which failed, of a data set that is not here."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    folder = tmp_path / "a folder é"
    for model, correct in (("one", 60), ("two", 50)):
        for seed in range(3):
            write(folder, plan(model, seed), [[correct + seed, 100, 100, 5], [10, 20, 30, 0]])
    write(folder, plan("two", 3), None)
    RunFolder.of(folder, plan("two", 3)).write_error("out of <memory> & 100% gone", "")
    return folder


def test_it_writes_one_page_and_its_tables_in_every_form(out, bench):
    status, printed, _ = bench("report", "--out", out, "--no-figures")
    assert status == 0
    assert str(out / "report" / "report.html") in printed
    files = {str(path.relative_to(out / "report")) for path in (out / "report").rglob("*") if path.is_file()}
    names = ("table3-d-e", "claims-d-e-human", "robust-d-e-human", "data-d", "audit-published",
             "audit-published-kinds", "audit-own", "audit-own-kinds")  # fmt: skip
    assert files == {"report.html", "runs.csv", "tables.md", "tables.tex", ".tables.json"} | {
        f"tables/{name}.{form}" for name in names for form in ("csv", "tex")
    }
    page = (out / "report" / "report.html").read_text()
    assert "out of &lt;memory&gt; &amp; 100% gone" in page
    assert "6 of 7" in page
    assert "out of \\textless{}memory\\textgreater{} \\& 100\\% gone" in (out / "report" / "tables.tex").read_text()


def test_tables_of_an_earlier_report_that_this_one_has_not_are_removed(out, bench):
    bench("report", "--out", out, "--no-figures")
    tables = out / "report" / "tables"
    (tables / "own.csv").write_text("")
    for folder in (out / "runs").glob("two*"):
        shutil.rmtree(folder)
    bench("report", "--out", out, "--no-figures")
    left = {path.name for path in tables.iterdir()}
    assert "claims-d-e-human.csv" not in left
    assert {"table3-d-e.csv", "table3-d-e.tex", "own.csv"} <= left


def test_figures_of_an_earlier_report_do_not_stay_beside_tables_of_a_later_one(out, bench):
    drawing = Drawing("seed_strips", ([Strip.of("one", [60.0, 61.0])],))
    write_figures({"seeds-d-e-human": drawing}, out / "report" / "figures")
    (out / "report" / "figures" / "own.png").write_text("")
    bench("report", "--out", out, "--no-figures")
    assert [path.name for path in (out / "report" / "figures").glob("[!.]*")] == ["own.png"]


def test_made_twice_it_is_the_same_to_the_byte(out, bench, tmp_path):
    for name in ("first", "second"):
        bench("report", "--out", out, "--to", tmp_path / name, "--no-figures")
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*.*")} for n in ("first", "second"))
    assert first == second


def test_pandas_reads_every_run_and_split_from_runs_csv(out, bench):
    bench("report", "--out", out, "--no-figures")
    runs = pd.read_csv(out / "report" / "runs.csv")
    assert len(runs) == 6 * 2 + 1
    means = runs[runs.split == "test"].groupby("model").f1.mean()
    assert means["one"] > means["two"]
    (failed,) = runs[runs.status == "failed"].to_dict("records")
    assert (failed["seed"], failed["error"]) == (3, "out of <memory> & 100% gone")


def test_it_links_the_explorer_where_there_is_one(out, bench):
    bench("report", "--out", out, "--no-figures")
    assert "explorer.html" not in (out / "report" / "report.html").read_text()
    (out / "report" / "explorer.html").write_text("")
    bench("report", "--out", out, "--no-figures")
    assert 'href="explorer.html"' in (out / "report" / "report.html").read_text()


def test_a_data_set_that_is_not_here_is_told(out, bench):
    bench("report", "--out", out, "--no-figures")
    assert "unknown data set &#39;d&#39;" in (out / "report" / "report.html").read_text()


def test_plans_without_a_single_record_are_a_report_too(tmp_path, bench, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    for seed in range(2):
        write(tmp_path, plan("ttmre", seed), None)
    status, _, said = bench("report", "--out", tmp_path)
    assert (status, said) == (0, "")
    assert "no planned seed is finished" in (tmp_path / "report" / "report.html").read_text()


def test_a_folder_without_runs_is_an_error(tmp_path, bench):
    status, _, said = bench("report", "--out", tmp_path)
    assert status == 2
    assert "nothing has been planned" in said


def test_tables_and_comparisons_need_no_torch(out):
    code = (
        "import json, sys, pathlib\n"
        "import bench.analysis.claims, bench.analysis.audit.records\n"
        "import bench.report.build as build, bench.report.material as data\n"
        "from bench.analysis.aggregate import load_cells\nfrom bench.analysis.published import read_published\n"
        f"out = pathlib.Path({str(out)!r})\n"
        "material = data.gather(out, load_cells(out), read_published())\n"
        "build.make_page(material, build.make_results(material))\n"
        "print(json.dumps(sorted({'torch', 'transformers', 'matplotlib', 'pyarrow'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
