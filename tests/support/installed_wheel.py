"""Tries a wheel where there is no checkout: `python tests/support/installed_wheel.py FOLDER WHEEL`.

FOLDER becomes an environment of its own, in which what the wheel requires is that of this Python's environment, and the
wheel is installed by the commands with which the container of `slurm/docre-bench.def` is made. Commands that read what
is beside the code (models, presets, profiles, published numbers, templates, pages) are run in an empty folder there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

COMMANDS = (
    "models list",
    "losses list",
    "run --config table3 --dry-run",
    "run --models ttmre --launcher slurm --profile a100 --dry-run",
    "models new mine",
    "run --models prior,./mine.py:Mine --dry-run",
    "audit",
    "run --models prior --seeds 1 --launcher inline",
    "report",
    "explore",
)


def main(folder: Path, wheel: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    own = Path(run(folder, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # After its own packages, so that `bench` is the wheel's; a path in such a file brings no editable installation.
    (own / "required.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    install(folder, wheel)
    where = Path(run(folder, python, "-c", "import bench; print(bench.__file__)").strip())
    if not where.is_relative_to(own):
        sys.exit(f"installed_wheel: bench is {where}, not that of the wheel in {own}")
    for command in COMMANDS:
        run(folder, folder / "bin" / "bench", *command.split())
        print(f"bench {command}: works")


def install(folder: Path, wheel: Path) -> None:
    """Carry out %post of the container's definition, with its files in a folder here and this environment's Python."""
    files = folder / "opt"
    files.mkdir()
    for path in (wheel, Path("constraints.txt")):
        shutil.copy(path, files)
    sections = Path("slurm/docre-bench.def").read_text(encoding="utf-8").split("\n%")
    post = next(section.partition("\n")[2] for section in sections if section.startswith("post\n"))
    # What the wheel requires is here.
    alone = f'export PATH="{folder}/bin:$PATH" PIP_NO_DEPS=1 PIP_NO_INDEX=1 PIP_QUIET=1\n'
    run(folder, "sh", "-c", alone + post.replace("/opt/docre-bench", str(files)))
    print("the container's %post: works")


def run(folder: Path, *command: str | Path) -> str:
    """What a command prints in a folder where nothing would lead it to a checkout; exits if it fails."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"BENCH_HOME": str(folder / "home"), "NO_COLOR": "1"}
    done = subprocess.run([*map(str, command)], cwd=work, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"installed_wheel: {' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
