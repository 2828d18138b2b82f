"""Random builders with loops, branches and numbers that change: what they become holds at other arguments."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from held import assert_same, convert, load

HEAD = """
import keras
from keras.layers import *
from keras.models import Model

def unit(x, f, act):
    x = Dense(f)(x)
    if act:
        x = Activation("tanh")(x)
    if x.shape[-1] != 4:
        x = Dense(4)(x)
    return x

def build(n=2, a=3, b=2, c=4, flag=True, ws=(2, 3)):
    i = keras.Input((5,))
    x = Dense(3)(i)
    y = Dense(a)(i)
"""
TAIL = "\n    return Model(i, [Dense(a)(x), Dense(b + c)(y)])\n"
NUMBERS, TENSORS = ("a", "b", "c"), ("x", "y")
DEPTH = 2


class Writer:
    """Writes the statements of one program."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def number(self) -> str:
        pick = self.random.choice
        kinds = ("{n}", "{n}", "{n} + {k}", "{n} + {m}", "{n} * 2", "{t}.shape[-1]", "{k}")
        return pick(kinds).format(n=pick(NUMBERS), m=pick(NUMBERS), t=pick(TENSORS), k=self.random.randint(1, 5))

    def test(self, index: str | None) -> str:
        pick = self.random.choice
        number = pick(NUMBERS)
        tests = [
            f"{number} > {self.random.randint(2, 6)}",
            "flag",
            f"{pick(TENSORS)}.shape[-1] != {number}",
            f"{number} % 2",
        ]
        return pick([*tests, *([f"{index} % 2 == 0", f"{index} > 0"] if index else [])])

    def block(self, depth: int = 0, indent: int = 1, index: str | None = None) -> list[str]:
        return [line for _ in range(self.random.randint(1, 3)) for line in self.statement(depth, indent, index)]

    def statement(self, depth: int, indent: int, index: str | None) -> list[str]:
        pick, chance, pad = self.random.choice, self.random.random(), "    " * indent
        tensor, number = pick(TENSORS), pick(NUMBERS)
        if chance < 0.3:
            return [f"{pad}{tensor} = Dense({self.number()})({tensor})"]
        if chance < 0.38:
            return [f"{pad}{tensor} = BatchNormalization()({tensor})"]
        if chance < 0.46:
            return [f"{pad}{tensor} = Concatenate()([x, y])"]
        if chance < 0.6:
            return [f"{pad}{number} = " + pick(("min({}, 9)", "({}) % 7 + 1")).format(self.number())]
        if chance < 0.66:
            one, other = self.random.sample(NUMBERS, 2)
            return [f"{pad}{one}, {other} = {other}, {one}"]
        if chance < 0.74 or depth == DEPTH:
            return [f"{pad}{tensor} = unit({tensor}, {self.number()}, {pick(('flag', 'True', 'False'))})"]
        if chance < 0.87:
            iterable = pick(("range(n)", f"range({number} % 3)", "(1, 2)", "ws", "range(2)"))
            return [f"{pad}for i{indent} in {iterable}:", *self.block(depth + 1, indent + 1, f"i{indent}")]
        lines = [f"{pad}if {self.test(index)}:", *self.block(depth + 1, indent + 1, index)]
        return lines if chance < 0.92 else [*lines, f"{pad}else:", *self.block(depth + 1, indent + 1, index)]

    def program(self) -> str:
        return HEAD + "\n".join(line for _ in range(3) for line in self.block()) + TAIL

    def entry(self) -> str:
        draw = self.random.randint
        widths = tuple(draw(1, 5) for _ in range(draw(0, 3)))
        return f"build({draw(0, 3)}, {draw(1, 6)}, {draw(1, 6)}, {draw(1, 6)}, {draw(0, 1) == 1}, {widths})"


def check(seed: int, folder: Path) -> None:
    """The conversion for the defaults holds there and at three other entries, or refuses them."""
    writer = Writer(seed)
    source = writer.program()
    text = convert(source, "build()", folder).modules[0].text
    for entry in ("build()", *(writer.entry() for _ in range(3))):
        try:
            assert_same(load(text), source, entry, folder)
        except NotImplementedError as error:
            assert entry != "build()" and "K2T30" in str(error)
        except AssertionError as error:
            if "the comparison says nothing" not in str(error):
                raise AssertionError(f"{entry}\n{source}\n{text}") from error


@pytest.mark.parametrize("seed", range(24))
def test_a_random_program(seed: int, tmp_path: Path):
    check(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24, 400))
def test_many_random_programs(seed: int, tmp_path: Path):
    check(seed, tmp_path)
