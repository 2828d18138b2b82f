"""Black's layout for the few shapes that generated code has, without running black.

What `ast.unparse` and the templates give differs from black's style in quotes, in hugged powers and in lines that are too
long. `tidy` mends these where black's rules are simple, and gives up (None) elsewhere: the text then goes through black.
A test compares both on every generated text there is.
"""

from __future__ import annotations

import re

_SINGLE = re.compile(r"'([^'\"\\\n]*)'")
_STRING = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_POWER = re.compile(r"(^|[\s(\[,=+\-*/])([A-Za-z_][\w.]*|\d+) \*\* ([A-Za-z_][\w.]*|\d+)(?![\w.(\[])")
_SLICE = re.compile(r"\[[^\]]*(?:[+\-*/%(]|\w\[)[^\]]*:|:[^\],]*[+\-*/%(][^\]]*\]")
_DEFAULT = re.compile(r": \w[\w.]*=[^=]|\]=[^=]")
_OPEN, _CLOSE = "([{", ")]}"


def tidy(text: str, limit: int) -> str | None:
    """`text` as black formats it at `limit` columns; None where that is not certain."""
    out: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        stripped = line.strip()
        if stripped.startswith(('"""', 'r"""')):
            doc = [line]
            while not _ends(doc):
                following = next(lines, None)
                if following is None:
                    return None
                doc.append(following)
            if not _plain_docstring(doc, limit):
                return None
            out += doc
            continue
        done = _line(line, limit)
        if done is None:
            return None
        out += done
    return "\n".join(out)


def _ends(doc: list[str]) -> bool:
    """Whether the lines of a docstring are complete."""
    text = "\n".join(doc).strip()
    return text.endswith('"""') and text.count('"""') >= 2


def _plain_docstring(doc: list[str], limit: int) -> bool:
    """Whether black leaves a docstring as it is."""
    indent = len(doc[0]) - len(doc[0].lstrip())
    text = doc[0].strip().removeprefix("r").removeprefix('"""')
    if not text or text[0] in ' "' or any("\t" in line or line != line.rstrip() or len(line) > limit for line in doc):
        return False
    if len(doc) == 1:
        return not text.removesuffix('"""').endswith((" ", '"', "\\"))
    depths = [len(line) - len(line.lstrip()) for line in doc[1:] if line]
    closing = doc[-1].strip()
    if closing == '"""':
        return min(depths) == indent and bool(doc[-2].strip())
    return min(depths) == indent and not closing.removesuffix('"""').endswith((" ", '"', "\\"))


def _balanced(code: str) -> bool:
    depth = 0
    for c in _STRING.sub("", code):
        depth += (c in _OPEN) - (c in _CLOSE)
    return depth == 0


def _line(line: str, limit: int) -> list[str] | None:
    stripped = line.strip()
    if not stripped:
        return [""]
    if stripped.startswith("#"):
        return [line.rstrip()]
    indent = line[: len(line) - len(line.lstrip())]
    if not _balanced(stripped) or stripped.endswith("\\"):
        return None
    if "'" in stripped:
        if '"' in stripped or "\\" in stripped:
            return None
        stripped = _SINGLE.sub(r'"\1"', stripped)
        if "'" in stripped:
            return None
    if " ** " in stripped:
        stripped = _POWER.sub(r"\1\2**\3", stripped)
        if " ** " in stripped:
            return None
    if "lambda" in stripped or (_DEFAULT if stripped.startswith("def ") else _SLICE).search(stripped):
        return None
    if len(indent) + len(stripped) <= limit:
        return [indent + stripped]
    return _split(stripped, indent, limit, statement=True)


def _split(code: str, indent: str, limit: int, statement: bool) -> list[str] | None:
    """A line that is too long: what stands between the last bracket and its partner goes on lines of its own."""
    if "  # " in code:
        return None
    tail_at = len(code) - 1
    while tail_at >= 0 and code[tail_at] not in _CLOSE:
        tail_at -= 1
    tail = code[tail_at:]
    if statement and code.startswith("def "):
        tail_at = code.rindex(") -> ") if ") -> " in code else code.rindex("):")
        tail = code[tail_at:]
    elif tail.strip(")]},:") != "" or len(tail) > 2:
        return None
    start = _partner(code, tail_at)
    if start is None:
        return None
    head, body = code[: start + 1], code[start + 1 : tail_at]
    if not statement and not re.fullmatch(r"(\w+=)?[\w.]+\(", head):
        return None
    if statement and not re.fullmatch(
        r"(def \w+\(|return [\w.]+\(|raise [\w.]+\(|[\w.]+(: [\w.\[\]]+)? \+?= ([\w.]+\(|\[)|[\w.]+\()", head
    ):
        return None
    if not body:
        return None
    if len(indent) + len(head) > limit:
        return None
    inner = indent + "    "
    parts = _arguments(body)
    if parts is None:
        return None
    if len(inner) + len(body) <= limit:
        return [indent + head, inner + body, indent + tail]
    if len(parts) == 1 and not re.match(r"[\w.]+\(|f?\"", parts[0]):
        return None
    lines = [indent + head]
    comma = "," if len(parts) > 1 else ""
    for part in parts:
        piece = part + comma
        if len(inner) + len(piece) <= limit or part.startswith(('"', 'f"')):
            lines.append(inner + piece)
            continue
        if part.startswith("*"):
            return None
        deeper = _split(part, inner, limit, statement=False)
        if deeper is None:
            return None
        deeper[-1] += comma
        lines += deeper
    return [*lines, indent + tail]


def _partner(code: str, close: int) -> int | None:
    """Where the bracket that `code[close]` closes opens."""
    stack: list[int] = []
    quoted = False
    for i, c in enumerate(code[: close + 1]):
        if c == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif c in _OPEN:
            stack.append(i)
        elif c in _CLOSE:
            if not stack:
                return None
            opened = stack.pop()
            if i == close:
                return opened
    return None


def _arguments(body: str) -> list[str] | None:
    """The comma-separated parts of a call's arguments; None for a comprehension or an operator at the top."""
    parts: list[str] = []
    depth, begin, quoted = 0, 0, False
    for i, c in enumerate(body):
        if c == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif c in _OPEN:
            depth += 1
        elif c in _CLOSE:
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(body[begin:i].strip())
            begin = i + 1
        elif depth == 0 and body.startswith(" for ", i):
            return None
    parts.append(body[begin:].strip())
    return None if any(not p for p in parts) else parts
