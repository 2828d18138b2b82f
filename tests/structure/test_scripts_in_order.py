"""Models of a script are made below the classes of the program that they need."""

from __future__ import annotations

from pathlib import Path

from transpiler.pipeline import convert_file

CLASS = """
class Twice(layers.Layer):
    def call(self, t):
        return 2 * t

"""
FIRST = "first = keras.Sequential([keras.Input((4,)), layers.Dense(1)])\n"
SECOND = "inp = keras.Input((4,))\nm = keras.Model(inp, layers.Dense(1)(Twice()(layers.Dense(3)(inp))))\n"
HEAD = "from tensorflow import keras\nfrom tensorflow.keras import layers\n"


def converted(text: str, folder: Path) -> str:
    path = folder / "script.py"
    path.write_text(HEAD + text)
    done = convert_file(path)
    assert not [f.message for f in done.all_findings if f.severity.name == "ERROR"]
    return done.modules[0].text


def test_a_class_between_two_models_stands_above_both(tmp_path: Path):
    text = converted(FIRST + CLASS + SECOND, tmp_path)
    names: dict = {}
    exec(text, names)
    assert type(names["m"]).__name__ == "M" and type(names["first"]).__name__ == "First"
    assert text.index("class Twice") < text.index("first = ") < text.index("m = ")


def test_models_stand_where_the_first_stood_otherwise(tmp_path: Path):
    text = converted(f"{CLASS}{FIRST}print(1)\n{SECOND}", tmp_path)
    exec(text, {})
    assert text.index("m = ") < text.index("print(1)")
