"""float64 for programs that ask for float32 by name: what they ask for is promoted, before they run.

`set_floatx` carries most models; these few cast, declare or create in float32 themselves, or use an operation that
TensorFlow has no float64 kernel for.
"""

from __future__ import annotations

import functools
import math
import sys
from types import ModuleType
from typing import Any

import numpy as np

from transpiler.verify.ctc import exact_ctc

MAKERS = ("cast", "constant", "zeros", "ones", "fill", "eye", "range", "linspace", "convert_to_tensor", "zeros_like", "ones_like", "Variable")  # fmt: skip

LITERALS = ("constant", "convert_to_tensor", "convert_to_tensor_v2_with_dispatch")
"""Those that take numbers which float32 would round, by the names their functions have."""


def exact_constants() -> None:
    """Makes `tf.cast(1 / 255, "float64")` exact: TensorFlow makes a float32 of the number first.

    Keras casts its own constants so (Rescaling); in float64 that is an error of 1e-8 which is nobody's mistake.
    """
    import tensorflow as tf

    for module in {id(m): m for m in (tf, tf.compat.v2)}.values():
        module.cast = _exact_cast(tf, module.cast)
    for nn in {id(n): n for n in (tf.nn, tf.compat.v2.nn)}.values():
        nn.gelu = _in_float64(tf, nn.gelu, functools.partial(_gelu, tf))
        nn.leaky_relu = _in_float64(tf, nn.leaky_relu, functools.partial(_leaky_relu, tf))
    for image in {id(i): i for i in (tf.image, tf.compat.v2.image)}.values():
        image.resize = _in_float64(tf, image.resize, functools.partial(_resize, tf, image.resize))
    for signal in {id(s): s for s in (tf.signal, tf.compat.v2.signal)}.values():
        for name in ("hann_window", "hamming_window", "kaiser_window"):
            setattr(signal, name, _window_in_float64(tf, getattr(signal, name)))
    exact_ctc(tf)
    attention = sys.modules.get("keras.src.backend.tensorflow.nn")
    if attention is not None:
        attention.dot_product_attention = _exact_scale(attention.dot_product_attention)
    legacy = sys.modules.get("tf_keras.src.layers.normalization.batch_normalization")
    if legacy is not None:
        base = legacy.BatchNormalizationBase
        base._assign_moving_average = _exact_average(tf, base._assign_moving_average)
    for package in ("keras", "tf_keras"):
        module = sys.modules.get(f"{package}.src.layers.preprocessing.normalization")
        if module is not None:
            module.Normalization.__init__ = _exact_statistics(module.Normalization.__init__)
    mel = sys.modules.get("keras.src.layers.preprocessing.mel_spectrogram")
    if mel is not None:
        mel.MelSpectrogram.__init__ = _exact_reference(mel.MelSpectrogram.__init__)
        matrix = mel.MelSpectrogram.linear_to_mel_weight_matrix
        matrix.__defaults__ = (*matrix.__defaults__[:-1], "float64")


def _exact_reference(init: Any) -> Any:
    """MelSpectrogram's constructor; the layer makes a float32 of the power it refers to, which then fits no float64."""

    @functools.wraps(init)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.ref_power = np.float64(self.ref_power)

    return made


def _exact_statistics(init: Any) -> Any:
    """Normalization's constructor; the layer makes float32 of the numbers it is given."""

    @functools.wraps(init)
    def made(self: Any, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **k: Any) -> None:
        mean, variance = (v if v is None else np.asarray(v, "float64") for v in (mean, variance))
        init(self, axis, mean, variance, invert, **k)

    return made


def _window_in_float64(tf: ModuleType, window: Any) -> Any:
    """A window of `tf.signal`, whose weights are of float32 unless a dtype is given."""

    @functools.wraps(window)
    def made(length: Any, shape: Any = None, dtype: Any = tf.dtypes.double, name: Any = None, **kwargs: Any) -> Any:
        if shape is not None:
            kwargs["beta" if "kaiser" in window.__name__ else "periodic"] = shape
        return window(length, dtype=dtype, name=name, **kwargs)

    return made


def _exact_scale(attention: Any) -> Any:
    """Keras's attention by dot products, which makes a float32 of the root in its scale."""

    @functools.wraps(attention)
    def scaled(
        query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, scale: Any = None, **k: Any
    ) -> Any:
        return attention(query, key, value, bias, mask, key.shape[-1] ** -0.5 if scale is None else scale, **k)

    return scaled


def _exact_average(tf: ModuleType, original: Any) -> Any:
    """Legacy BatchNormalization's running average; it makes a float32 of `1 - momentum` first."""

    @functools.wraps(original)
    def assign(self: Any, variable: Any, value: Any, momentum: Any, inputs_size: Any) -> Any:
        if not isinstance(momentum, float) or variable.dtype.base_dtype != tf.dtypes.double:
            return original(self, variable, value, momentum, inputs_size)
        change = (variable - tf.cast(value, tf.dtypes.double)) * tf.constant(1.0 - momentum, tf.dtypes.double)
        if inputs_size is not None:
            change = tf.where(inputs_size > 0, change, tf.zeros_like(change))
        return variable.assign_sub(change)

    return assign


def _in_float64(tf: ModuleType, function: Any, exact: Any) -> Any:
    """`function`, and `exact` for float64 tensors, where TensorFlow computes with constants of float32."""

    @functools.wraps(function)
    def wrapped(x: Any, *args: Any, **kwargs: Any) -> Any:
        return (exact if getattr(x, "dtype", None) == tf.dtypes.double else function)(x, *args, **kwargs)

    return wrapped


def _gelu(tf: ModuleType, features: Any, approximate: bool = False, name: Any = None) -> Any:
    if approximate:
        inner = math.sqrt(2 / math.pi) * (features + 0.044715 * features**3)
        return 0.5 * features * (1 + tf.math.tanh(inner))
    return 0.5 * features * (1 + tf.math.erf(features / tf.constant(math.sqrt(2), tf.dtypes.double)))


def _leaky_relu(tf: ModuleType, features: Any, alpha: float = 0.2, name: Any = None) -> Any:
    return tf.where(features > 0, features, tf.constant(alpha, tf.dtypes.double) * features)


def _resize(tf: ModuleType, original: Any, images: Any, size: Any, method: Any = "bilinear", *args: Any, **kwargs: Any) -> Any:  # fmt: skip
    """Bilinear resizing by half-pixel centres as two matrix products; other methods as they are."""
    if getattr(method, "value", method) != "bilinear" or args or kwargs.get("antialias") or images.shape.rank != 4:
        return original(images, size, method, *args, **kwargs)
    height, width = (int(n) for n in size)
    rows, columns = (_weights(int(n), m) for n, m in zip(images.shape[1:3], (height, width)))
    return tf.einsum("oh,nhwc,pw->nopc", tf.constant(rows), images, tf.constant(columns))


def _weights(size: int, target: int) -> Any:
    """The (target, size) matrix of linear interpolation with half-pixel centres, edges repeated."""
    import numpy as np

    centres = (np.arange(target) + 0.5) * size / target - 0.5
    low = np.floor(centres).astype(int)
    share = centres - low
    matrix = np.zeros((target, size))
    np.add.at(matrix, (np.arange(target), np.clip(low, 0, size - 1)), 1 - share)
    np.add.at(matrix, (np.arange(target), np.clip(low + 1, 0, size - 1)), share)
    return matrix


def _exact_cast(tf: ModuleType, cast: Any) -> Any:
    @functools.wraps(cast)
    def wrapped(x: Any, dtype: Any, name: Any = None) -> Any:
        items = x if isinstance(x, (list, tuple)) else [x]
        if items and all(type(i) is float for i in items) and tf.as_dtype(dtype) == tf.dtypes.double:
            return tf.constant(x, tf.dtypes.double)
        return cast(x, dtype, name)

    return wrapped


def promote(keras: ModuleType) -> None:
    """Patches TensorFlow and Keras; call it after `set_floatx("float64")` and before the user's program."""
    import tensorflow as tf

    for name in MAKERS:
        if name != "Variable":
            setattr(tf, name, _promoted(getattr(tf, name)))
    for name in ("normal", "uniform", "truncated_normal"):
        setattr(tf.random, name, _drawn(tf, getattr(tf.random, name)))
    _patch_keras(keras)
    for nn in {id(n): n for n in (tf.nn, tf.compat.v2.nn, tf.compat.v1.nn)}.values():
        nn.max_pool3d = _max_pool3d(tf, nn.max_pool3d)
        nn.lrn = nn.local_response_normalization = functools.partial(_lrn, tf)
    tf.nn.max_pool = _max_pool3d(tf, tf.nn.max_pool)
    tf.float32 = tf.float64


def _is_single(value: Any) -> bool:
    return (
        value == "float32" or getattr(value, "name", None) == "float32" or getattr(value, "__name__", "") == "float32"
    )


def _promoted(function: Any) -> Any:
    """The function with every float32 asked of it as float64, and float constants made in float64."""
    import tensorflow as tf

    double = tf.float64

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args = tuple(double if _is_dtype(a) and _is_single(a) else a for a in args)
        kwargs = {k: double if k in ("dtype", "dtype_hint") and _is_single(v) else v for k, v in kwargs.items()}
        result = function(*args, **kwargs)
        if getattr(getattr(result, "dtype", None), "name", "") == "float32" and not hasattr(result, "assign"):
            if function.__name__ in LITERALS and len(args) == 1 and not kwargs and not hasattr(args[0], "dtype"):
                return function(args[0], dtype=double)
            return _cast(result)
        return result

    return wrapped


def _drawn(tf: ModuleType, function: Any) -> Any:
    """A function of `tf.random`, which draws float32 unless a dtype is given."""
    promoted = _promoted(function)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return promoted(*args, **kwargs) if len(args) > 3 else promoted(*args, **{"dtype": tf.dtypes.double, **kwargs})

    return wrapped


def _is_dtype(value: Any) -> bool:
    return isinstance(value, (str, type)) or hasattr(value, "as_numpy_dtype")


def _cast(tensor: Any) -> Any:
    import tensorflow as tf

    return tf.raw_ops.Cast(x=tensor, DstT=tf.dtypes.double) if isinstance(tensor, tf.Tensor) else tensor


def _patch_keras(keras: ModuleType) -> None:
    layer = keras.layers.Layer
    for name in ("__init__", "add_weight"):
        setattr(layer, name, _keyword_promoted(getattr(layer, name)))
    if keras.__name__ == "tf_keras":
        inputs = keras.layers.InputLayer
        inputs.__init__ = _keyword_promoted(inputs.__init__)
        for name in ("cast", "constant", "zeros", "ones", "variable"):
            setattr(keras.backend, name, _keyword_promoted(_promoted(getattr(keras.backend, name))))
        return
    from keras.src.backend.tensorflow import core

    for name in ("convert_to_tensor", "cast"):
        old = getattr(core, name)
        new = _double_strings(old)
        for module in [m for n, m in sys.modules.items() if n.startswith("keras.src.backend.tensorflow") and m]:
            if module.__dict__.get(name) is old:
                setattr(module, name, new)
        for module in [m for n, m in sys.modules.items() if n.startswith("keras.") and m]:
            if module.__dict__.get(name) is old:
                setattr(module, name, new)
    from keras.src.ops import core as ops

    init = ops.Cast.__init__
    ops.Cast.__init__ = lambda self, dtype, **k: init(self, "float64" if _is_single(dtype) else dtype, **k)


def _keyword_promoted(function: Any) -> Any:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{k: "float64" if k == "dtype" and _is_single(v) else v for k, v in kwargs.items()})

    return wrapped


def _double_strings(function: Any) -> Any:
    @functools.wraps(function)
    def wrapped(x: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        return function(x, "float64" if dtype is not None and _is_single(dtype) else dtype, *args, **kwargs)

    return wrapped


def _max_pool3d(tf: ModuleType, original: Any) -> Any:
    """TensorFlow has no float64 MaxPool3D on CPU: pool over height and width, then over depth."""

    @functools.wraps(original)
    def pool(input: Any, ksize: Any, strides: Any, padding: Any, data_format: Any = None, name: Any = None) -> Any:
        if input.shape.rank != 5 or input.dtype != tf.dtypes.double or data_format not in (None, "NDHWC"):
            return original(input, ksize, strides, padding, data_format, name)
        k, s = _triple(ksize), _triple(strides)
        shape = tf.shape(input)
        flat = tf.reshape(input, [-1, *input.shape[2:4], input.shape[4]])
        flat = tf.nn.max_pool2d(flat, k[1:], s[1:], padding)
        h, w, c = flat.shape[1:]
        deep = tf.reshape(flat, [shape[0], input.shape[1], h * w, c])
        deep = tf.nn.max_pool2d(deep, [k[0], 1], [s[0], 1], padding)
        return tf.reshape(deep, [shape[0], deep.shape[1], h, w, c])

    return pool


def _triple(value: Any) -> list[int]:
    values = [value] * 3 if isinstance(value, int) else list(value)
    return values[1:4] if len(values) == 5 else values * 3 if len(values) == 1 else values


def _lrn(tf: ModuleType, input: Any, depth_radius: int = 5, bias: float = 1, alpha: float = 1, beta: float = 0.5, name: Any = None) -> Any:  # fmt: skip
    """Local response normalisation from primitives: it has no float64 kernel either."""
    square = tf.pad(tf.square(input), [[0, 0]] * (input.shape.rank - 1) + [[depth_radius, depth_radius]])
    depth = input.shape[-1]
    total = tf.add_n([square[..., i : i + depth] for i in range(2 * depth_radius + 1)])
    return input / tf.pow(bias + alpha * total, beta)
