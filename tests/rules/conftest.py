"""Makes the harness importable, and runs these tests in float64 without leaving that behind."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    import keras
    import tf_keras
    import torch

    before = torch.get_default_dtype(), keras.config.floatx(), tf_keras.backend.floatx()
    policy = keras.config.dtype_policy()  # Keras 3 keeps the first one it is asked for, whatever floatx becomes
    torch.set_default_dtype(torch.float64)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    tf_keras.backend.set_floatx("float64")
    yield
    keras.config.set_dtype_policy(policy)
    torch.set_default_dtype(before[0])
    keras.config.set_floatx(before[1])
    tf_keras.backend.set_floatx(before[2])
