"""Spectrograms of signals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiObject, ApiValue, Args, Step, Weight
from transpiler.ir.shape import Dim, Layout, Shape, TensorType
from transpiler.rules import spatial
from transpiler.rules.base import LayerRule, Raw, call, keywords
from transpiler.rules.initializers import window_code
from transpiler.rules.spatial import Grid


class STFTSpectrogram(LayerRule):
    """Two convolutions that start as a Fourier transform, trained with the rest."""

    keras = ("STFTSpectrogram",)
    signature = (
        "mode='log', frame_length=256, frame_step=None, fft_length=None, window='hann', periodic=False, "
        "scaling='density', padding='valid', expand_dims=False, data_format=None"
    )
    examples = (
        ("STFTSpectrogram(frame_length=4, frame_step=3, window=[0.5, 1.0, 1.0, 0.5])", (2, 21, 3)),
        ("STFTSpectrogram('stft', 6, fft_length=16, window=None, expand_dims=True)", (2, 20, 2)),
        ("STFTSpectrogram('angle', 6, window=None)", (2, 20, 1)),
        ("STFTSpectrogram('psd', 6, 4, window=None, padding='same')", (2, 21, 2)),
        ("STFTSpectrogram('imag', 6, 4, window=None, padding='same', expand_dims=True)", (2, 21, 2)),
        ("STFTSpectrogram('real', 6, 4, window=None)", (2, 21, 2)),
        ("STFTSpectrogram('magnitude', 6, window=None, scaling=None)", (2, 20, 1)),
    )

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return spatial.spatial_layout(a)

    @staticmethod
    def sizes(a: Args) -> tuple[int, int, int]:
        """The length of a frame, the steps between two, and the number of frequencies."""
        frame = a.const("frame_length")
        fft = a.const("fft_length") or 2 ** math.ceil(math.log2(frame))
        return frame, a.const("frame_step") or frame // 2, fft // 2 + 1

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid = Grid.of(a, xs[0], 1)
        (size,), channels = grid.sizes, grid.known_channels()
        frame, step, frequencies = self.sizes(a)
        same = a.lower("padding") == "same"
        frames: Dim = spatial.same_size(size, step) if same else spatial.valid_size(size, frame, step)
        bands = frequencies * 2 if a.const("mode") == "stft" else frequencies
        return (
            grid.shape((frames, bands), channels) if a.const("expand_dims") else grid.shape((frames,), channels * bands)
        )

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        mode, sides = a.const("mode"), ("real", "imag")
        used = [side for side in sides if mode not in sides or side == mode]
        frame = self.sizes(a)[0]
        shape = {"window": a.window, "scaling": a.const("scaling"), "periodic": a.const("periodic")}
        window_code(a.window, frame, a.const("periodic"))  # declines here what has no counterpart
        module = Step(
            module=call(
                "STFTSpectrogram",
                *self.sizes(a),
                **keywords({"mode": "log", "same": False}, mode=mode, same=a.lower("padding") == "same"),
            ),
            hint="spectrogram",
            weights={side: Weight(f"{side}_kernel", (("permute", (2, 1, 0)),)) for side in used},
            init={s: ApiObject(ApiValue("keras.initializers.STFT"), (), {"side": s, **shape}) for s in used},
            helpers=("STFTSpectrogram",),
        )
        return [module, Step(fn="{0}.transpose(2, 3)" if a.const("expand_dims") else "{0}.flatten(1, 2)", hint="x")]


class MelSpectrogram(LayerRule):
    """`torch.stft` and a matrix of triangles on the mel scale."""

    keras = ("MelSpectrogram",)
    signature = (
        "fft_length=2048, sequence_stride=512, sequence_length=None, window='hann', sampling_rate=16000, "
        "num_mel_bins=128, min_freq=20.0, max_freq=None, power_to_db=True, top_db=80.0, mag_exp=2.0, min_power=1e-10, "
        "ref_power=1.0"
    )
    examples = (
        ("MelSpectrogram(16, 4, num_mel_bins=4)", (2, 50)),
        ("MelSpectrogram(16, 5, 12, window='hamming', num_mel_bins=3, power_to_db=False, mag_exp=1.0)", (2, 50)),
        ("MelSpectrogram(16, 4, num_mel_bins=4, window=None, top_db=5.0, ref_power=3.0, min_power=1e-3)", (2, 50)),
    )

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if xs[0].rank != 2 or not xs[0].dtype.startswith("float"):
            raise Declined("K2T103", "MelSpectrogram of anything but a batch of float signals is not translated")

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        batch, size = xs[0].shape
        padded = None if size is None else size + a.const("fft_length") // 2 * 2
        return batch, a.num_mel_bins, spatial.valid_size(padded, a.const("fft_length"), a.const("sequence_stride"))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        size, rate = a.const("fft_length"), a.const("sampling_rate")
        frame = a.const("sequence_length") or size
        window: Any = window_code(a.window, frame, periodic=True)
        if window is None and frame != size:
            window = Raw(call("torch.ones", frame))
        defaults = {"decibels": True, "range_": 80.0, "exponent": 2.0, "least": 1e-10, "reference": 1.0}
        options = keywords(
            defaults,
            decibels=a.const("power_to_db"),
            range_=a.top_db,
            exponent=a.mag_exp,
            least=a.min_power,
            reference=a.ref_power,
        )
        high = a.const("max_freq") or int(rate / 2)
        module = call(
            "MelSpectrogram", size, a.sequence_stride, window, rate, a.num_mel_bins, a.min_freq, high, **options
        )
        return [Step(module=module, hint="spectrogram", helpers=("MelSpectrogram",))]
