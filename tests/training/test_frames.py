"""Data frames and series of pandas as data: what Keras makes of them."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from transpiler.pipeline import convert_file

SCRIPT = """import numpy as np
import pandas as pd
import keras
from keras import layers

{function}
table = pd.read_csv("table.csv")
x, y = table[["a", "b"]], table["y"]
model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
model.compile("sgd", "mse", metrics=[{metric}])
history = model.fit(x, y, validation_data=(x.values, np.ones(6)), epochs=2, verbose=0)
predicted = model.predict(x, verbose=0)
"""
SPREAD = """
def spread(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred))

"""


class DataFrame:
    """As much of a data frame as the script needs."""

    def __init__(self, columns):
        self.columns = columns

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, names):
        return (
            DataFrame({n: self.columns[n] for n in names}) if isinstance(names, list) else Series(self.columns[names])
        )

    @property
    def values(self):
        return np.stack(list(self.columns.values()), axis=1)

    def __array__(self, dtype=None, copy=None):
        return self.values


class Series:
    def __init__(self, numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    def __array__(self, dtype=None, copy=None):
        return self.numbers


@pytest.mark.parametrize("metric", ["'mae'", "spread"])
def test_frames_and_series_become_arrays(metric: str, tmp_path: Path, monkeypatch):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(metric=metric, function=SPREAD if metric == "spread" else ""))
    conversion = convert_file(path, generation="keras3")
    assert not [f for f in conversion.all_findings if f.severity.name == "ERROR"]
    text = conversion.modules[0].text
    assert "torch.as_tensor(np.asarray(x), dtype=torch.float32)" in text
    assert "torch.as_tensor(x.values, dtype=torch.float32), torch.as_tensor(np.ones(6)" in " ".join(text.split())
    pandas = ModuleType("pandas")
    pandas.__spec__ = ModuleSpec("pandas", None)
    numbers = np.arange(6.0)
    pandas.read_csv = lambda _: DataFrame({"a": numbers / 9, "b": numbers / 5, "y": numbers})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    scope: dict = {"__name__": "result"}
    exec(text, scope)
    assert scope["predicted"].shape == (6, 1) and len(scope["history"]["val_loss"]) == 2
    if metric == "spread":  # a column, as Keras has it: not the differences of all pairs
        x, y = scope["table"][["a", "b"]], scope["to_array"](scope["y"])
        assert y.shape == (6, 1) and scope["to_array"](x).shape == (6, 2)
        assert scope["to_array"](numbers).shape == (6,)
