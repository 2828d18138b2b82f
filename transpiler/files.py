"""Source files as bytes and as text: encodings, newlines, and writes that never leave half a file."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import sys
import tempfile
import tokenize
from dataclasses import dataclass
from pathlib import Path

from transpiler.diagnostics import Declined, Span

STDIN = "<stdin>"
"""The name under which text from standard input is reported."""

_SKIP = re.compile(r"#\s*keras2torch:\s*skip\b")
_BOM = b"\xef\xbb\xbf"
_NEWLINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Source:
    """One source file: `text` has "\\n" newlines and no byte order mark; `data` is what was read."""

    name: str
    text: str
    data: bytes
    newline: str = "\n"
    bom: bool = False

    def restore(self, text: str) -> str:
        """`text` with the newlines of this file."""
        return text if self.newline == "\n" else text.replace("\n", self.newline)

    def encode(self, text: str) -> bytes:
        """`text` as this file would be stored: its newlines, its byte order mark, the encoding that `text` declares.

        The unchanged text gives the very bytes that were read. Raises UnicodeEncodeError where the declared
        encoding lacks a character.
        """
        if text == self.text:
            return self.data
        encoding = "utf-8" if self.bom else declared_encoding(text)
        return (_BOM if self.bom else b"") + self.restore(text).encode(encoding)


def declared_encoding(text: str) -> str:
    """The encoding that the coding line of `text` names (PEP 263), else UTF-8."""
    head = "\n".join(text.split("\n", 2)[:2]).encode("ascii", "replace")
    try:
        return tokenize.detect_encoding(io.BytesIO(head).readline)[0].removesuffix("-sig")
    except SyntaxError:
        return "utf-8"


def read_source(path: Path) -> Source:
    """The file at `path`, decoded as Python itself would.

    Raises Declined (K2T002) for what is not a readable Python source: missing, a directory, no permission, binary,
    an encoding that is unknown or does not fit.
    """
    try:
        data = path.read_bytes()
    except IsADirectoryError:
        raise Declined("K2T002", f"{path}: is a directory", "give a Python file") from None
    except OSError as error:
        raise Declined("K2T002", f"{path}: {reason(error)}") from None
    return decode_source(str(path), data)


def read_stdin() -> Source:
    """Standard input, decoded like a file. Raises Declined (K2T002) as `read_source` does."""
    return decode_source(STDIN, sys.stdin.buffer.read())


def decode_source(name: str, data: bytes) -> Source:
    """`data` as Python source. Raises Declined (K2T002) for binary data and for encodings that do not fit."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Declined("K2T002", f"{name}: is UTF-16, which Python does not read", "save it as UTF-8")
    if b"\0" in data:
        raise Declined("K2T002", f"{name}: is a binary file, not Python source")
    try:
        lines = io.BytesIO(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        encoding = tokenize.detect_encoding(lines.readline)[0]
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _undecodable(name, data, error) from None
    except SyntaxError as error:
        raise _bad_declaration(name, data, error) from None
    found = _NEWLINE.findall(text)
    newline = max(dict.fromkeys(found), key=found.count) if found else "\n"
    return Source(name, _NEWLINE.sub("\n", text), data, newline, bom=data.startswith(_BOM))


def _bad_declaration(name: str, data: bytes, error: SyntaxError) -> Declined:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as undecodable:
        if "unknown encoding" not in str(error):
            return _undecodable(name, data, undecodable)
    return Declined("K2T002", f"{name}: {error.msg}", "correct the coding line at the top of the file")


def _undecodable(name: str, data: bytes, error: UnicodeDecodeError) -> Declined:
    line = data.count(b"\n", 0, error.start) + 1
    col = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
    message = f"byte 0x{data[error.start]:02x} is not valid {error.encoding}"
    advice = "save the file as UTF-8, or name its encoding in a first line such as `# -*- coding: latin-1 -*-`"
    return Declined("K2T002", message, advice, Span(name, line, col))


def skipped(text: str) -> bool:
    """Whether a comment `# keras2torch: skip` asks to leave the file alone."""
    if not _SKIP.search(text):
        return False
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return any(_SKIP.match(line.strip()) for line in text.splitlines())
    return any(t.type == tokenize.COMMENT and _SKIP.match(t.string) for t in tokens)


def write_atomic(path: Path, data: bytes) -> None:
    """Writes `data` to `path` by way of a temporary file beside it: the old file, or the new one, never a part.

    The mode of an existing file is kept, a symbolic link is followed, and a device or pipe is written to directly.
    Raises OSError.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        target.write_bytes(data)  # raises IsADirectoryError for a directory
        return
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:64]}.", suffix=".tmp")
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(name, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def reason(error: OSError) -> str:
    """Why the system refused, in a few words."""
    return (error.strerror or str(error) or type(error).__name__).lower()
