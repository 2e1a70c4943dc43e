from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.slurm.profiles import commands_of, load_profile

SHIPPED = Path(__file__).parents[2] / "slurm" / "profiles"


def profile(folder: Path, text: str):
    path = folder / "mine.toml"
    path.write_text(text)
    return load_profile(str(path))


def test_a_profile_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b'\xef\xbb\xbfpartition = "gpu"\n')
    assert load_profile(str(tmp_path / "mine.toml")).resources("plain").partition == "gpu"


@pytest.mark.parametrize("name", [path.stem for path in SHIPPED.glob("*.toml")])
def test_the_profiles_that_come_with_it_are_valid(name):
    resources = load_profile(name, (SHIPPED,)).resources("distant")
    assert resources.warning_seconds < resources.time * 60


@pytest.mark.parametrize(
    ("written", "minutes"),
    [("90m", 90), ("12h", 720), ("2d", 2880), ("4:00:00", 240), ("0:00:30", 1), ("2-12:00:30", 3601)],
)
def test_times_are_understood(written, minutes, tmp_path):
    assert profile(tmp_path, f'time = "{written}"\nwarning_seconds = 10').resources("human").time == minutes


@pytest.mark.parametrize(
    ("written", "megabytes"), [("64GB", 65536), ("512MB", 512), ("1.5 GiB", 1536), ("1t", 1 << 20)]
)
def test_amounts_of_memory_are_understood(written, megabytes, tmp_path):
    assert profile(tmp_path, f'memory = "{written}"').resources("human").memory == megabytes


def test_a_stage_changes_what_it_names_and_keeps_the_rest(tmp_path):
    two_times = profile(
        tmp_path,
        'time = "1h"\nmemory = "8GB"\n[extra]\nnice = 10\n'
        '[stages.distant]\ntime = "2d"\n[stages.distant.extra]\nhint = "x"',
    )
    human, distant = two_times.resources("human"), two_times.resources("distant")
    assert (human.time, human.extra) == (60, {"nice": 10})
    assert (distant.time, distant.memory, distant.extra) == (2880, human.memory, {"nice": 10, "hint": "x"})


def test_all_memory_of_a_node_may_be_asked_for(tmp_path):
    assert profile(tmp_path, "[extra]\nmem = 0").resources("human").extra == {"mem": 0}


def test_all_problems_are_told_at_once_with_their_places(tmp_path):
    with pytest.raises(UsageError) as error:
        profile(tmp_path, 'memry = "8GB"\ntime = 90\ncpus = 0\n[stages.distant]\nmemory = "lots"')
    lines = str(error.value).splitlines()
    assert lines[0] == f"{tmp_path}/mine.toml: 4 problems in this SLURM profile"
    assert [line.strip().partition(":")[0] for line in lines[1:]] == [
        "cpus = 0",
        "time = 90",
        "memry",
        "stages.distant.memory = 'lots'",
    ]
    assert '"90m", "12h"' in lines[2]
    assert "memory" in lines[3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpus = 2", "gpus_per_run"),
        ("runs_per_gpu = 5\ngpus_per_run = 2", "several runs share one GPU, or one run has several, not both"),
        (
            "gpus_per_run = 2\n[stages.distant]\nruns_per_gpu = 5",
            r"stages\.distant\.?: runs_per_gpu = 5, gpus_per_run = 2",
        ),
        ("runs_per_gpu = 5\nnodes = 2", "runs_per_gpu = 5, nodes = 2: several runs share one GPU"),
        ("runs_per_gpu = 0", "runs_per_gpu = 0: Input should be greater than 0"),
        ("nodes = true", "nodes = True: expected a number"),
        ('container = "apptainer exec"', "container = 'apptainer exec': Input should be a valid list"),
        ("packed_slowdown = 0.5", "packed_slowdown = 0.5: Input should be greater than or equal to 1"),
        ("packed_slowdown = inf", "packed_slowdown = inf: Input should be a finite number"),
        ("[seconds_per_document]\nall = nan", "all = nan: Input should be a finite number"),
        ('[stages.humn]\ntime = "1h"', "'human', 'distant', 'ext' or 'evaluation'"),
        ("[extra]\narray = '0-3'", "extra may not set array"),
        ("scrach = '/tmp'", r"scrach: no such setting\. Did you mean 'scratch'\?"),
        ("packed_slowdwn = 2", r"packed_slowdwn: no such setting\. Did you mean 'packed_slowdown'\?"),
        ("[stages.distant]\narray_size = 10", r"stages\.distant\.array_size: not here: .* above the first \[table\]"),
        ("[extra]\njob_name = 'x'", "extra may not set job-name"),
        ("[extra]\ncpus_per_task = 8", "extra.cpus-per-task: here it is the setting 'cpus'"),
        ("[stages.distant.extra]\nmem = '100G'", "extra.mem: here it is the setting 'memory'"),
        ('[seconds_per_document]\n"ttmre.distnat" = 0.1', "no stage trains on 'distnat'"),
        ('time = "1m"\nwarning_seconds = 60', "warning_seconds = 60 is not before the end"),
        ("[seconds_per_document]\nall = 0.1\narray_size = 9", r"seconds_per_document\.array_size: not here: "),
        ("partition = [", "not TOML"),
    ],
)
def test_what_cannot_be_is_refused(text, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        profile(tmp_path, text)


def test_a_value_that_is_no_option_of_sbatch_is_one_problem(tmp_path):
    with pytest.raises(UsageError) as error:
        profile(tmp_path, '[extra]\ncontainer = ["apptainer", "exec"]')
    assert str(error.value).splitlines()[1:] == [
        '  extra.container: expected a text, a whole number, true or false, found ["apptainer", "exec"]'
    ]


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    (tmp_path / "a100.toml").write_text("")
    with pytest.raises(UsageError, match=r"Did you mean 'a100'\?"):
        load_profile("a10", (tmp_path,))


def test_a_profile_here_comes_before_one_of_the_same_name_elsewhere(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.toml").write_text(f'partition = "{name}"')
    mine = load_profile("mine", (tmp_path / "here", tmp_path / "there"))
    assert mine.resources("human").partition == "here"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml: no such file"):
        load_profile(str(tmp_path / "none.toml"))


def test_a_folder_is_no_profile(tmp_path):
    with pytest.raises(UsageError, match="a folder, expected a TOML file"):
        load_profile(str(tmp_path), ())


def test_an_installation_without_a_checkout_has_its_profiles(tmp_path, monkeypatch):
    folder = tmp_path / "share" / "docre-bench" / "slurm" / "profiles"
    folder.mkdir(parents=True)
    (folder / "campus.toml").write_text('partition = "gpu"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.slurm.profiles.__file__", str(tmp_path / "bench" / "slurm" / "profiles.py"))
    monkeypatch.setattr("bench.installed.__file__", str(tmp_path / "bench" / "installed.py"))
    monkeypatch.setattr("bench.installed.metadata.files", lambda name: None)
    assert load_profile("campus").name == "campus"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", shlex.quote(sys.executable)),
        ('container = ["apptainer", "exec", "--nv", "docre-bench.sif"]', "apptainer exec --nv docre-bench.sif python3"),
        ('container = ["env"]\npython = "/opt/bench/bin/python"', "env /opt/bench/bin/python"),
        ('python = "~/venv/bin/python"', '"$HOME/venv/bin/python"'),
    ],
)
def test_the_python_of_jobs_is_this_one_or_that_of_the_container(text, said, tmp_path):
    assert profile(tmp_path, text).resources("human").interpreter == said


def test_of_a_containers_words_a_shell_puts_in_variables_and_runs_nothing(tmp_path):
    words = ["$A", "~/an image", 'a"b', "`touch x`", "$(touch x)", "*", "back\\slash", "\\$(touch x)"]
    resources = profile(tmp_path, f"container = {json.dumps(words)}").resources("human")
    script = f"printf '%s\\n' {resources.interpreter}"
    environment = {"A": "a  b", "HOME": "/me", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["sh", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["a  b", "/me/an image", *words[2:], "python3"]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("setting", ['setup = ["module load x"]', 'container = ["env"]', 'python = "mine"'])
def test_what_of_a_profile_is_shell_is_told(setting, tmp_path):
    (command,) = commands_of(profile(tmp_path, f"[stages.distant]\n{setting}"))
    assert command in ("module load x", "env python3", "mine")


MODELS = """
time = "1h"
memory = "8GB"
[extra]
nice = 10
[stages.distant]
time = "2d"
[models.ttmre]
memory = "96GB"
[models.kd_docre.distant]
time = "3d"
extra = {hint = "x"}
[models."./my_model.py:Mine"]
time = "5h"
"""


def test_what_is_said_of_a_model_wins_over_its_stage_and_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").touch()
    mine = profile(tmp_path, MODELS)
    asked = {
        (model, section): (mine.resources(section, model).time // 60, mine.resources(section, model).memory >> 10)
        for model in ("ttmre", "kd_docre", "Mine", "atlop", None)
        for section in ("human", "distant")
    }
    assert asked == {
        ("ttmre", "human"): (1, 96),
        ("ttmre", "distant"): (48, 96),
        ("kd_docre", "human"): (1, 8),
        ("kd_docre", "distant"): (72, 8),
        ("Mine", "human"): (5, 8),
        ("Mine", "distant"): (5, 8),
        ("atlop", "human"): (1, 8),
        ("atlop", "distant"): (48, 8),
        (None, "human"): (1, 8),
        (None, "distant"): (48, 8),
    }
    assert mine.resources("distant", "kd_docre").extra == {"nice": 10, "hint": "x"}
    assert [kind for kind, _ in mine.kinds()] == [
        *("human", "distant", "ext", "evaluation"),
        *(f"{section} of ttmre" for section in ("human", "distant", "ext", "evaluation")),
        "distant of kd_docre",
        *(f"{section} of Mine" for section in ("human", "distant", "ext", "evaluation")),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[models.tmre]\nmemory = "1GB"',
            r"models\.tmre: no such model\. Did you mean 'ttmre'\? There are atlop, bran, ",
        ),
        (
            '[models.ttmre]\nmemry = "1GB"',
            r"models\.ttmre\.memry: no such setting\. Did you mean 'memory'\? There are account, ",
        ),
        ('[models.ttmre]\nhuman = "1GB"', r"models\.ttmre\.human: expected a table, \[models\.ttmre\.human\]"),
        ('[models.ttmre.distant]\ntime = "soon"', r"models\.ttmre\.distant\.time = 'soon': a time is \"90m\""),
        ('[models."./none.py:Mine"]\ntime = "1h"', r"no file \./none\.py here"),
        ('time = "10m"\n[models.ttmre]\nwarning_seconds = 600', r"models\.ttmre: warning_seconds = 600 is not before"),
        (
            '[models."ttmre:layers=2"]\nmemory = "9GB"',
            "'layers=2' is no class: what is said of a model is said of all its",
        ),
        ("models = 3", "models = 3: Input should be a valid dictionary"),
    ],
)
def test_what_cannot_be_said_of_a_model_is_refused(text, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        profile(tmp_path, text)


def test_runs_per_gpu_on_the_command_line_goes_before_the_profile_and_its_stages(tmp_path):
    mine = profile(tmp_path, "runs_per_gpu = 5\n[stages.distant]\nruns_per_gpu = 2\ntime = '2d'")
    assert [mine.resources(s).runs_per_gpu for s in ("human", "distant", "evaluation")] == [5, 2, 5]
    changed = mine.with_runs_per_gpu(3)
    assert [changed.resources(s).runs_per_gpu for s in ("human", "distant", "evaluation")] == [3, 3, 3]
    assert changed.resources("distant").time == 2880


def test_runs_per_gpu_on_the_command_line_goes_before_what_a_model_has_on_some_data(tmp_path):
    mine = profile(tmp_path, "[models.ttmre]\nruns_per_gpu = 2\n[models.ttmre.distant]\nruns_per_gpu = 4\ncpus = 7")
    assert [mine.resources("distant", model).runs_per_gpu for model in ("atlop", "ttmre")] == [1, 4]
    changed = mine.with_runs_per_gpu(3).resources("distant", "ttmre")
    assert (changed.runs_per_gpu, changed.cpus) == (3, 7)


def test_runs_per_gpu_on_the_command_line_does_not_go_with_runs_on_several(tmp_path):
    mine = profile(tmp_path, "[stages.distant]\ngpus_per_run = 2")
    with pytest.raises(UsageError, match=r"--runs-per-gpu 3: .*gpus_per_run = 2"):
        mine.with_runs_per_gpu(3)
