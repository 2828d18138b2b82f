"""`keras` and `tensorflow.keras`, in every spelling since Keras 1, as legacy Keras 2 (`tf_keras`)."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator
from typing import Any

PREFIXES = ("tensorflow.python.keras", "tensorflow.keras", "keras")

MOVED = {
    ".engine": "tf_keras.src.engine",
    ".engine.training": "tf_keras.src.engine.training",
    ".utils.vis_utils": "tf_keras.src.utils.vis_utils",
    ".utils.layer_utils": "tf_keras.src.utils.layer_utils",
    ".utils.conv_utils": "tf_keras.src.utils.conv_utils",
    ".utils.tf_utils": "tf_keras.src.utils.tf_utils",
    ".backend.tensorflow_backend": "tf_keras.backend",
    ".backend_config": "tf_keras.src.backend_config",
    ".objectives": "tf_keras.losses",
    ".applications.imagenet_utils": "tf_keras.applications.imagenet_utils",
}
"""Modules that moved, by what follows the prefix."""

GROUPS = {".layers.": "tf_keras.layers", ".utils.": "tf_keras.utils", ".models.": "tf_keras.models"}
"""Modules that were split by topic once: `keras.layers.core` held what `keras.layers` exports today."""

TOPOLOGY = (".engine.topology", ".engine.base_layer", ".engine.network", ".engine.container")
"""Old homes of Layer, Input, InputSpec, Node and get_source_inputs."""


def install() -> None:
    """Makes every spelling importable.

    The finder for `tf_keras` itself comes last: `from keras.utils import layer_utils` asks for a submodule of it.
    """
    sys.meta_path.insert(0, LegacyKeras(PREFIXES))
    sys.meta_path.append(LegacyKeras(("tf_keras",)))


class LegacyKeras(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `keras.X` and `tensorflow.keras.X` as the module of `tf_keras` that holds the same names."""

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self.prefixes = prefixes

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        rest = _rest(fullname, self.prefixes)
        if rest is None or (self.prefixes == ("tf_keras",) and rest.startswith(".src")):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        name = module.__name__
        sys.modules[name] = self._resolve(name)

    def _resolve(self, name: str) -> types.ModuleType:
        rest = _rest(name, self.prefixes) or ""
        if rest in TOPOLOGY:
            return _topology(name)
        for candidate in _candidates(rest):
            if candidate == name:
                continue
            try:
                return importlib.import_module(candidate)
            except ImportError:
                continue
        raise ModuleNotFoundError(f"No module named {name!r} (nor its place in tf_keras)", name=name)


def _rest(fullname: str, prefixes: tuple[str, ...]) -> str | None:
    for prefix in prefixes:
        if fullname == prefix or fullname.startswith(prefix + "."):
            return fullname[len(prefix) :]
    return None


def _candidates(rest: str) -> Iterator[str]:
    if rest in MOVED:
        yield MOVED[rest]
    yield "tf_keras" + rest
    yield "tf_keras.src" + rest.removeprefix(".src")
    for group, home in GROUPS.items():
        if rest.startswith(group):
            yield home


def _topology(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    from tf_keras import Input, Model
    from tf_keras.layers import InputLayer, InputSpec
    from tf_keras.src.engine import base_layer
    from tf_keras.src.utils.layer_utils import get_source_inputs

    vars(module).update({k: v for k, v in vars(base_layer).items() if not k.startswith("__")})
    extra = {"Input": Input, "InputLayer": InputLayer, "InputSpec": InputSpec, "get_source_inputs": get_source_inputs}
    vars(module).update(extra, Network=Model, Container=Model, __path__=[])
    return module
