"""What is said of a file that is not read."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transpiler.diagnostics import Declined
from transpiler.files import reason

SAVE_AGAIN = "Load it with Keras and save it again: model.save_weights('model.weights.h5')."


class Unreadable(Declined):
    """The file is broken, or none that Keras has written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__("K2T701", f"{path}: {why}", "Check that the file is complete and is the one you mean.")


class Unsupported(Declined):
    """A file that Keras may have written, in a form that is not read."""

    def __init__(self, path: Path, why: str, advice: str = SAVE_AGAIN) -> None:
        super().__init__("K2T702", f"{path}: {why}", advice)


@contextmanager
def broken_is_unreadable(path: Path) -> Iterator[None]:
    """Raises Unreadable for what h5py, zipfile and the readers of checkpoints say of broken files."""
    try:
        yield
    except (
        OSError,
        LookupError,
        RuntimeError,
        ValueError,
        OverflowError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        said = reason(error) if isinstance(error, OSError) and error.strerror else str(error)
        raise Unreadable(path, f"the file is broken or incomplete: {said}") from None
