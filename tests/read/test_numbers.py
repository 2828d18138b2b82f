"""numpy on hyperparameters: what the evaluator computes is what numpy computes; the rest is unknown."""

from pathlib import Path

import numpy as np
import pytest

from tests.read.test_python import evaluate
from transpiler.read.keras.evaluate.arrays import NumpyArray
from transpiler.read.keras.evaluate.values import Unknown

COMPUTED = [
    "np.prod((2, 3, 4))",
    "np.sum([1, 2.5])",
    "np.max([3, 1])",
    "np.cumsum([1, 2, 3])",
    "np.diff([1, 4, 9])",
    "np.linspace(0, 0.1, 4)",
    "np.linspace(0, 1, 1)",
    "np.arange(2, 8, 3)",
    "np.arange(3, dtype='float64')",
    "np.array([1, 2]) + 1",
    "1 - np.array([1, 2])",
    "np.array([1, 2]) * [3, 4]",
    "2 ** np.arange(4)",
    "-np.arange(3)",
    "np.arange(6) % 2 == 0",
    "np.arange(6)[1:4] + [1, 1, 1]",
    "np.arange(6)[1:4] * 2",
    "np.array([1, 2.5])[0]",
    "np.array([1.5, 2], dtype=int)",
    "np.array([1, 2], dtype=np.float32)",
    "np.array([0.1], dtype='float32')",
    "np.float32(0.1)",
    "np.sqrt(2)",
    "np.sqrt([4, 9])",
    "np.floor(5 / 2)",
    "np.ceil(2.1) / 2",
    "np.round(2.567, 1)",
    "[np.round(v, 1) for v in (0.15, 0.25, 0.35, -1.05, 123.45)]",
    "[np.round(v, -1) for v in (15.0, 25.0, 1234.5)]",
    "np.linspace(0, 1, 0)",
    "np.maximum(3, 5)",
    "np.log2(32)",
    "np.array([True, False]).any()",
    "np.arange(4).sum() + np.arange(4).mean()",
    "np.array([3, 1]).tolist() + [1]",
    "np.arange(3).shape + (np.arange(3).size,)",
    "[float(x) for x in np.linspace(0, 0.1, sum([2, 2]))]",
]
UNKNOWN = [
    "np.prod([[1, 2], [3, 4]], axis=0)",
    "np.sum([1, 2], 0)",
    "np.sum([[1, 2], [3, 4]])",
    "np.maximum([1, 5], [4, 2])",
    "np.array([[1, 2]])",
    "np.array([300], dtype='int8')",
    "np.array([1, 2]) + [[1], [2]]",
    "np.arange(3)[np.array([0, 1])]",
    "np.arange(0, 1, 0.1)",
    "np.prod((1, 2), dtype='float32')",
    "np.issubdtype(1, 2)",
    "np.float32([1, 2])",
]


@pytest.mark.parametrize("code", COMPUTED)
def test_same_as_numpy(code: str, tmp_path: Path):
    seen = evaluate(f"import numpy as np\nr = {code}", tmp_path)["r"]
    expected = eval(code, {"np": np})
    assert list(seen) == list(expected) if np.ndim(expected) else seen == expected
    kinds = [type(v) for v in (seen if np.ndim(expected) else [seen])]
    assert kinds == [type(getattr(v, "item", lambda v=v: v)()) for v in (expected if np.ndim(expected) else [expected])]


@pytest.mark.parametrize("code", UNKNOWN)
def test_not_computed(code: str, tmp_path: Path):
    assert isinstance(evaluate(f"import numpy as np\nr = {code}", tmp_path)["r"], (Unknown, NumpyArray))


def test_truth_of_an_array_is_an_error(tmp_path: Path):
    names = evaluate("import numpy as np\nr = 1\nif np.arange(3) == 1:\n    r = 2", tmp_path)
    assert names["r"] != 2
