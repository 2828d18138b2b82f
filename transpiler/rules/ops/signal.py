"""Fourier transforms of real signals."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import TensorType
from transpiler.rules.base import show
from transpiler.rules.ops.base import Operand, OpRule, example, is_float, one, size_text, tensor, tensor_list


class RealFourier(OpRule):
    """`ops.rfft`: the real and the imaginary part of half of a spectrum."""

    names = ("ops.rfft", "ops.math.rfft")
    signature = "x, fft_length=None"
    examples = (
        example("ops.rfft(x)[0]", x=(2, 3, 8)),
        example("ops.rfft(x)[1]", x=(2, 7)),
        example("ops.rfft(ops.stop_gradient(x), fft_length=5)[0]", x=(2, 8)),
        example("ops.rfft(ops.stop_gradient(x), 12)[1]", x=(2, 8)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return tensor(a).rank > 1

    def lower(self, path: str, a: Args) -> Lowering:
        x, length = tensor(a), a.fft_length
        if not is_float(x.dtype):
            raise Declined("K2T103", "a Fourier transform of integers is not translated")
        size = x.shape[-1] if length is None else length
        kind = TensorType((*x.shape[:-1], None if size is None else size // 2 + 1), x.dtype)
        option = "" if length is None else f", n={size_text(length)}"
        return Lowering([Step(fn=f"torch.fft.rfft({{0}}{option})")], [kind, kind], ("{0}.real", "{0}.imag"))


class RealFourierBack(OpRule):
    """`ops.irfft`: a real signal from half of its spectrum."""

    names = ("ops.irfft", "ops.math.irfft")
    signature, inputs = "xs, fft_length=None", ("xs",)
    renames = {"x": "xs"}
    examples = (
        example("ops.irfft((x, y))", x=(2, 3, 5), y=(2, 3, 5)),
        example("ops.irfft((x, y), fft_length=7)", x=(2, 4), y=(2, 4)),
        example("ops.irfft(ops.rfft(x))", x=(2, 8)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return tensor_list(a, "xs")[0].rank > 1

    def lower(self, path: str, a: Args) -> Lowering:
        real, imaginary = tensor_list(a, "xs")
        length = a.fft_length
        if not is_float(real.dtype) or not is_float(imaginary.dtype):
            raise Declined("K2T103", "a Fourier transform of integers is not translated")
        half = real.shape[-1]
        size = length if length is not None else None if half is None else 2 * (half - 1)
        option = "" if length is None else f", n={size_text(length)}"
        text = f"torch.fft.irfft(torch.complex({real}, {imaginary}){option})"
        return one(text, (*real.shape[:-1], size), real.dtype)


def window_text(window: Any, length: int) -> str:
    """The weights of a window by name; TensorFlow's are symmetric where the length is odd."""
    names = {"hann": "torch.hann_window", "hamming": "torch.hamming_window"}
    if window not in names:
        raise Declined("K2T103", f"the window {show(window)} is not translated")
    symmetric = ", periodic=False" if length % 2 else ""
    return f"{names[window]}({length}{symmetric}, dtype={{0}}.dtype, device={{0}}.device)"


class ShortTimeFourier(OpRule):
    """`ops.stft`: the spectra of windows over a signal."""

    names = ("ops.stft", "ops.math.stft")
    signature = "x, sequence_length, sequence_stride, fft_length, window='hann', center=True"
    inputs, literal = ("x", "window"), ("window",)
    examples = (
        example("ops.stft(x, 6, 2, 8)[0]", x=(2, 20)),
        example("ops.stft(x, 5, 3, 8, window='hamming')[1]", x=(2, 20)),
        example("ops.stft(x, 8, 4, 8, center=False)[0]", x=(2, 21)),
        example("ops.stft(x, 6, 2, 8, window=None)[1]", x=(2, 20)),
        example("ops.stft(x, 7, 3, 8, window=w[0], center=False)[0]", x=(2, 20), w=(1, 7)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return tensor(a).rank > 1

    def lower(self, path: str, a: Args) -> Lowering:
        x, numbers = tensor(a), [a.const(n) for n in ("sequence_length", "sequence_stride", "fft_length")]
        if not is_float(x.dtype) or x.rank not in (1, 2) or any(type(n) is not int for n in numbers):
            raise Declined("K2T103", f"stft of {x.dtype} with {x.rank} axes is not translated")
        length, stride, size = numbers
        if length > size:
            raise Declined("K2T102", f"a window of {length} in a transform of {size} is not translated")
        center = bool(a.const("center"))
        options = ""
        if isinstance(a.window, Operand):
            if a.window.rank != 1:
                raise Declined("K2T103", "a window with more than one axis is not translated")
            options = f", win_length={length}, window={a.window}"
        elif a.window is not None:
            options = f", win_length={length}, window={window_text(a.window, length)}"
        else:  # Keras then has no window at all, whatever its length
            options = f", window=torch.ones({size}, dtype={{0}}.dtype, device={{0}}.device)"
        options += "" if center else ", center=False"
        spectrum = f"torch.stft({{0}}, {size}, {stride}{options}, return_complex=True).mT"
        whole = None if x.shape[-1] is None else x.shape[-1] + (size // 2 * 2 if center else 0)
        frames = None if whole is None else (whole - size) // stride + 1
        kind = TensorType((*x.shape[:-1], frames, size // 2 + 1), x.dtype)
        return Lowering([Step(fn=spectrum)], [kind, kind], ("{0}.real", "{0}.imag"))


class ShortTimeFourierBack(OpRule):
    """`ops.istft`: a signal from the spectra of windows over it; torch.istft weights the ends of a signal in another way."""

    names = ("ops.istft", "ops.math.istft")
    signature = "xs, sequence_length, sequence_stride, fft_length, length=None, window='hann', center=True"
    renames = {"x": "xs"}
    inputs = ("xs",)
    examples = (
        example("ops.istft((x, y), 6, 2, 8)", x=(2, 7, 5), y=(2, 7, 5)),
        example("ops.istft((x, y), 7, 3, 8, length=12, window='hamming')", x=(2, 7, 5), y=(2, 7, 5)),
        example("ops.istft((x, y), 8, 4, 8, center=False)", x=(2, 7, 5), y=(2, 7, 5)),
        example("ops.istft(ops.stft(x, 8, 2, 8), 8, 2, 8)", x=(2, 40)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return tensor_list(a, "xs")[0].rank > 2

    def lower(self, path: str, a: Args) -> Lowering:
        real, imaginary = tensor_list(a, "xs")
        numbers = [a.const(n) for n in ("sequence_length", "sequence_stride", "fft_length")]
        if not is_float(real.dtype) or real.rank not in (2, 3) or any(type(n) is not int for n in numbers):
            raise Declined("K2T103", f"istft of {real.dtype} with {real.rank} axes is not translated")
        length, stride, size = numbers
        if length > size or size < 2 or a.length is not None and type(a.length) is not int:
            raise Declined("K2T102", f"a window of {length} in a transform of {size} is not translated")
        before = (size - length) // 2
        window = window_text(a.window, length).replace("{0}", str(real))
        if size > length:
            window = f"F.pad({window}, ({before}, {size - length - before}))"
        start = size // 2 if a.const("center") else 0
        whole = None if real.shape[-2] is None else size + stride * (real.shape[-2] - 1)
        if a.length is not None:
            cut, count = f"[..., {start or ''}:{start + a.length}]", None
            count = a.length if whole is not None and start + a.length <= whole else None
        else:
            cut, count = (f"[..., {start}:-{start}]" if start else ""), None if whole is None else whole - 2 * start
        text = f"inverse_stft(torch.complex({real}, {imaginary}), {window}, {stride}){cut}"
        return one(text, (*real.shape[:-2], count), real.dtype, helpers=("inverse_stft",))
