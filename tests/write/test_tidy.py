"""`tidy` is black wherever it does not give up."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.write.torch import module
from transpiler.write.torch.tidy import tidy

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    [*ROOT.glob("samples/*_keras.py"), *ROOT.glob("tests/golden/cases/*.py"), *ROOT.glob("benchmarks/models/*.py")]
)


@pytest.mark.parametrize("limit", [120, 88])
def test_what_is_tidied_is_what_black_writes(limit: int, monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []
    monkeypatch.setattr(module, "tidy", lambda text, width: seen.append(text))
    for path in SOURCES:
        convert_file(path, text=path.read_text(encoding="utf-8").split("\n# output\n")[0])
    done = [tidy(text, limit) for text in seen]
    assert sum(d is not None for d in done) > len(seen) / 2
    for text, mine in zip(seen, done):
        if mine is not None:
            assert mine.strip("\n") == module.black_all([text], limit)[0]


@pytest.mark.parametrize(
    "text",
    [
        "x = f(a, b)[0:i + 1]",
        "f = lambda x: x",
        'raise ValueError("it\'s")',
        "x = [\n    1]",
        'def f():\n    """\n    Indented.\n    """\n    return 1',
        "y = " + " + ".join(["argument"] * 20),
        "z = a(b) ** 2",
    ],
)
def test_it_gives_up_where_black_decides(text: str):
    assert tidy(text, 88) is None
