"""Where an installation has what lies beside the packages in a checkout: published numbers, SLURM profiles, pages."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

SHARE = "share/docre-bench"


def installed_folders(name: str) -> list[Path]:
    """Where the folder `name` of the repository may be, if `bench` is installed from a wheel; not all of them need be.

    Wheels put it under `share/docre-bench` of the environment: `[tool.setuptools.data-files]` in pyproject.toml.
    """
    inside = f"{SHARE}/{name}"
    try:
        files = metadata.files("docre-bench") or []
    except metadata.PackageNotFoundError:
        files = []
    inside_it = [file for file in files if str(file).rpartition("/")[0].endswith(inside)]
    listed = [Path(str(file.locate())).resolve().parent for file in inside_it]
    # `pip install --target` moves the files away from where the package's list of them says they are.
    return [*dict.fromkeys(listed), Path(__file__).resolve().parents[1] / inside]
