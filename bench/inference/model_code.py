"""Where the code of a model is run outside training: what it raises is told, and ends nothing but what needed it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.errors import BenchError, in_words
from bench.filesystem import DamagedFileError
from bench.runs.interrupt import Interrupted


class UnusableModelError(BenchError):
    """The model of a run is gone, damaged, of other code, or fails; its record and predictions are as they were."""


@contextmanager
def model_code(what: str) -> Iterator[None]:
    """Within this block code of a model runs: an error of it, `sys.exit` included, is an `UnusableModelError`.

    what: begins the message, which ends with the line of the model that it comes from. What the harness raises, a stop,
    and what is of the machine (a full disk, memory) passes as it is.
    """
    try:
        yield
    except (BenchError, DamagedFileError, Interrupted, OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise UnusableModelError(f"{what}: {in_words(error)}") from error
