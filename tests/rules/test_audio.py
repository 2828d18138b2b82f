"""Spectrograms, and the kernels that they start from."""

from __future__ import annotations

import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from harness import helper_namespace, load_helper, read, translate

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3
from transpiler.ir.shape import TensorType
from transpiler.rules.initializers import init_call
from transpiler.verify import verify_file

WINDOWS = {"hann": np.hanning, "hamming": np.hamming, "blackman": np.blackman, "bartlett": np.bartlett}


def get_window(name: str, size: int, fftbins: bool = True) -> np.ndarray:
    """SciPy's, which Keras asks for; numpy has the same windows."""
    return WINDOWS[name](size + 1)[:-1] if fftbins else WINDOWS[name](size)


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize(
    "options",
    [
        *(f"window={name!r}, periodic={periodic}" for name in WINDOWS for periodic in (True, False)),
        "window='hann', scaling='spectrum'",
        "window='hamming', scaling=None",
        "window=None",
        "window=[1.0, 2.0, 3.0, 2.0, 1.0, 0.5]",
    ],
)
def test_kernels_start_as_keras_s(side: str, options: str, monkeypatch: pytest.MonkeyPatch):
    from keras.src.initializers import constant_initializers

    monkeypatch.setattr(constant_initializers, "scipy", SimpleNamespace(signal=SimpleNamespace(get_window=get_window)))
    want = eval(f"constant_initializers.STFT(side={side!r}, {options})")((6, 1, 5), dtype="float64").numpy()
    layer = read(f"Conv1D(5, 6, kernel_initializer=initializers.STFT(side={side!r}, {options}))", KERAS3)
    text, helpers = init_call(layer.args.kernel_initializer, "weight")
    scope = helper_namespace() | {"weight": torch.empty(5, 1, 6)}
    for helper in helpers:
        load_helper(helper, scope)
    assert np.allclose(want.transpose(2, 1, 0), eval(text, scope).numpy(), atol=1e-12)


SOURCE = """
    import keras
    from keras import layers

    def build():
        signal = keras.Input((40, 1))
        x = layers.STFTSpectrogram("psd", 8, window=None)(signal)
        y = layers.MelSpectrogram(16, 8, num_mel_bins=3)(layers.Flatten()(signal))
        z = layers.Conv1D(5, 8, kernel_initializer=keras.initializers.STFT(window=None))(signal)
        z = layers.Dense(2)(keras.activations.glu(z[..., :4]))
        return keras.Model(signal, [x, y, z])
"""


def test_a_model_of_spectrograms(tmp_path: Path):
    path = tmp_path / "model.py"
    path.write_text(textwrap.dedent(SOURCE))
    (result,) = verify_file(path, entries=["build()"], generation=KERAS3)
    assert result.status == "pass", result


@pytest.mark.parametrize(
    ("code", "shape"),
    [
        ("STFTSpectrogram(window='flattop')", (None, 300, 1)),
        ("MelSpectrogram(16)", (None, 30, 2)),
        ("Dense(3, kernel_initializer=initializers.STFT())", (None, 4)),
    ],
)
def test_what_is_not_exact_is_declined(code: str, shape: tuple):
    with pytest.raises(Declined):
        layer = read(code, KERAS3)
        lowering = translate(layer, [TensorType(shape)]).lowering
        from transpiler.rules.initializers import check_place

        for step in lowering.steps:
            for name, value in step.init.items():
                check_place(value, step.weights[name].transform)


@pytest.mark.parametrize("more", ["", ", expand_dims=True"])
def test_channels_first_is_the_same_moved(more: str):
    """TensorFlow has no kernel for this on the CPU."""
    code, x = f"STFTSpectrogram('log', 6, 4, padding='same'{more}", torch.randn(2, 21, 3)
    last = translate(read(code + ")", KERAS3), [TensorType((None, 21, 3))])
    first = translate(read(code + ", data_format='channels_first')", KERAS3), [TensorType((None, 3, 21))])
    for (_, p, _), (_, q, _) in zip(last.parameters(), first.parameters(), strict=True):
        q.data = p.data.normal_()
    (want,), (have,) = last(x), first(x.mT)
    assert torch.equal(want.movedim(-1, 1), have)
    assert have.shape[1:] == first.lowering.types[0].shape[1:]
