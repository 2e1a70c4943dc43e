"""Runs put on the Hugging Face Hub: card, records, predictions and models, laid out as an output folder has them.

So whoever downloads the repository to a folder has an output folder: `bench predict`, `bench table` and `bench compare`
take it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, UsageError
from bench.filesystem import DamagedFileError, checksum_path
from bench.hub.card import README, is_card
from bench.hub_client import LOG_IN, explained, hub_api
from bench.nn.weights import load_tensors
from bench.runs.names import made_anew
from bench.runs.plan import RunPlan
from bench.runs.run_folder import PLAN, RECORD, RunFolder, predictions_path
from bench.runs.stage_folder import SELECTED, stage_folder, stage_result
from bench.runs.verdict import SCORED

OF_THIS_MACHINE = {"lock", "provenance.json", "checkpoints"}
"""What of a stage's folder is of no use elsewhere, or tells of the machine."""


@dataclass(frozen=True)
class Upload:
    """A file and where it goes. content: a path, or the bytes themselves."""

    path: str
    content: Path | bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


@dataclass(frozen=True)
class Pushed:
    """url: of the repository.   made: whether it was made now.   kept_readme: its own README.md was left as it is."""

    url: str
    made: bool
    kept_readme: bool


def check_repository(name: str) -> None:
    """Raise UsageError where the Hub could have no repository of this name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    wrong = f"{name!r} is no name of a repository on the Hub, OWNER/NAME"
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UsageError(f"{wrong}: {error}") from None
    if "/" not in name:
        raise UsageError(wrong)


def uploads_of(folders: Sequence[RunFolder], card: bytes) -> list[Upload]:
    """The files of finished runs, and their card. Raises UsageError where the model of one is not what was written."""
    files = [Upload(README, card)]
    for folder in folders:
        plan = folder.verdict().plan
        assert plan is not None  # there is a card
        files += _of_run(folder)
        if plan.last is not None and not plan.last.is_counted:
            files += _of_model(folder, plan)
    return list({file.path: file for file in files}.values())


def _of_run(folder: RunFolder) -> Iterator[Upload]:
    predictions = [predictions_path(folder.path, split) for split in SCORED]
    for path in (folder.path / PLAN, folder.path / RECORD, *predictions, *map(checksum_path, predictions)):
        if path.exists():
            yield Upload(f"runs/{folder.name}/{path.name}", path)


def _of_model(folder: RunFolder, plan: RunPlan) -> Iterator[Upload]:
    out = folder.path.parent.parent
    assert plan.last is not None
    stage = stage_folder(out, plan.last)
    try:
        if stage_result(stage) is None:
            raise DamagedFileError(f"{stage}: no finished model")
        load_tensors(stage / SELECTED)
    except DamagedFileError as error:
        raise UsageError(f"{folder.name}: {error}; {made_anew(out, folder.name, plan.origin)}") from error
    for path in sorted(stage.rglob("*")):
        within = path.relative_to(stage)
        if path.is_file() and within.parts[0] not in OF_THIS_MACHINE and not path.name.startswith("."):
            yield Upload(f"stages/{stage.name}/{within.as_posix()}", path)


def push(files: Sequence[Upload], repository: str, message: str, private: bool) -> Pushed:
    """Upload files in one commit to a repository, which is made if it is not there: then it is private, or public.

    A README.md there that is no card of docre-bench stays. Raises BenchError, with what to do.
    """
    from huggingface_hub import CommitOperationAdd, get_token
    from huggingface_hub.errors import BadRequestError

    if not get_token():
        raise BenchError(f"uploading to {repository} needs a token that may write. {LOG_IN}")
    api = hub_api()
    with explained("uploading to", repository):
        made = _made(repository, private)
        kept = not made and _has_other_readme(repository)
        operations = [
            CommitOperationAdd(file.path, file.content) for file in files if not (kept and file.path == README)
        ]
        try:
            api.create_commit(repository, operations, commit_message=message)
        except BadRequestError:  # a ValueError as well
            raise
        except ValueError as error:  # of the metadata of the card, which the Hub looks at first
            raise BenchError(f"uploading to {repository} failed: the Hub does not take it. {error}") from error
        except RuntimeError as error:  # of one of the large files
            raise BenchError(
                f"uploading to {repository} failed: {error} {error.__cause__ or ''}\n"
                "The repository is as it was. The same command again goes on with what has not arrived"
            ) from error
    return Pushed(f"{api.endpoint}/{repository}", made, kept)


def _made(repository: str, private: bool) -> bool:
    """Make a repository; whether it was not there before."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        hub_api().create_repo(repository, private=private)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        return False
    return True


def _has_other_readme(repository: str) -> bool:
    """Whether a repository has a README.md that somebody has written."""
    from tempfile import TemporaryDirectory

    api = hub_api()
    if not api.file_exists(repository, README):
        return False
    with TemporaryDirectory() as scratch:
        return not is_card(Path(api.hf_hub_download(repository, README, local_dir=os.fspath(scratch))))
