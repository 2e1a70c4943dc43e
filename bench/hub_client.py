"""The Hugging Face Hub, as commands ask it, and what its answers mean for whoever typed the command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LOG_IN = "`hf auth login` keeps a token (https://hf.co/settings/tokens), or HF_TOKEN has one"


def hub_api() -> HfApi:
    """The Hub at HF_ENDPOINT, or at its own address."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="docre-bench")


@contextmanager
def explained(doing: str, repository: str) -> Iterator[None]:
    """Make of what the Hub's library raises an error that says what to do. doing: "reading", say.

    Raises BenchError.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    failed = f"{doing} {repository} failed"
    try:
        yield
    except LocalTokenNotFoundError:
        raise BenchError(f"{failed}: there is no token. {LOG_IN}") from None
    except GatedRepoError as error:
        raise BenchError(
            f"{failed}: its owner asks for consent. Give it on its page, then: {LOG_IN}\n{_said(error)}"
        ) from error
    except RepositoryNotFoundError as error:
        raise BenchError(
            f"{failed}: there is no such repository, or one that may not be seen without a token. {LOG_IN}\n"
            f"{_said(error)}"
        ) from error
    except RevisionNotFoundError as error:
        raise BenchError(f"{failed}: it has no such revision\n{_said(error)}") from error
    except HFValidationError as error:
        raise BenchError(f"{repository}: no name of a repository, OWNER/NAME: {error}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise BenchError(f"{failed}: the token may not do this. {LOG_IN}\n{_said(error)}") from error
        raise BenchError(f"{failed}: the Hub answers {status}. Try again later\n{_said(error)}") from error
    except OfflineModeIsEnabled as error:
        raise BenchError(f"{failed}: HF_HUB_OFFLINE forbids it") from error
    except HTTPError as error:
        where = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        raise BenchError(f"{failed}: {where} cannot be reached ({_said(error)})") from error


def _said(error: Exception) -> str:
    """What the library says, as one line."""
    return " ".join(str(error).split())
