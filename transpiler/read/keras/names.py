"""Names: the canonical path of everything Keras and TensorFlow export, and where a module's source lies."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from transpiler.diagnostics import Declined
from transpiler.files import read_source
from transpiler.ir.model import KERAS2, KERAS3
from transpiler.read.keras.parse import SourceModule, parse

LEGACY = re.compile(
    r"^\s*(?:import|from)\s+tf_keras\b|TF_USE_LEGACY_KERAS|\boptimizers\.legacy\b|^[^#\n]*\boptimizer\.lr\b", re.M
)
"""What a source says that is written for legacy Keras."""

FRAMEWORKS = ("keras", "tensorflow", "tf_keras", "keras_core", "tensorflow_addons", "tensorflow_probability")
"""Top-level packages whose names are known by path; their source is not evaluated (but for keras.applications)."""

MODULES = ("activations", "applications", "backend", "callbacks", "constraints", "initializers", "layers", "losses", "metrics",
           "models", "ops", "optimizers", "preprocessing", "random", "regularizers", "utils")  # fmt: skip
"""The modules of Keras, which programs hand on to be free in which Keras they use."""

OLD_UTILITIES = ("np_utils", "generic_utils", "data_utils", "io_utils", "layer_utils", "vis_utils", "multi_gpu_utils")
"""Modules of `keras.utils` in older Keras, whose functions stand in `keras.utils` itself today."""
_PREFIXES = (
    "tensorflow.python.keras",
    "tensorflow.keras",
    "tensorflow.compat.v1.keras",
    "tensorflow.compat.v2.keras",
    "keras.src",
    "keras.api",
    "keras.legacy",
    "tf_keras.src",
    "tf_keras.api",
    "tf_keras",
    "keras_core",
    "keras._tf_keras.keras",
)


def generation_of(texts: Iterable[str]) -> str:
    """The generation of Keras that sources are for: legacy Keras where one of them names it, else Keras 3."""
    return KERAS2 if any(LEGACY.search(text) for text in texts) else KERAS3


def is_module(path: str) -> bool:
    """Whether a canonical path is Keras, TensorFlow, or a module of Keras."""
    return path in FRAMEWORKS or path.startswith("keras.") and path[len("keras.") :] in MODULES


@functools.lru_cache(maxsize=4096)
def canonical(path: str) -> str:
    """`tensorflow.keras.layers.Dense`, `keras.src.layers.core.dense.Dense` → `keras.layers.Dense`."""
    if path.startswith("tensorflow._api.v2."):
        path = path.replace("._api.v2", "", 1)
    for prefix in _PREFIXES:
        if path == prefix or path.startswith(prefix + "."):
            path = "keras" + path[len(prefix) :]
            return (
                canonical(path) if path.startswith(("keras.src.", "keras.api.", "keras._tf_keras")) else _shorten(path)
            )
    if path == "tensorflow.compat.v1.image" or path.startswith("tensorflow.compat.v1.image.resize"):
        return path  # TensorFlow 1 has another grid of pixels
    if path in ("tensorflow.compat.v1.nn", "tensorflow.compat.v1.nn.dropout"):
        return path  # which is told what to keep
    if path.startswith("tensorflow.compat.v1.nn.") and path.endswith("cross_entropy_with_logits"):
        return path  # which has other arguments
    for old, new in (
        ("tensorflow.python.ops.init_ops_v2.", "keras.initializers."),
        ("tensorflow.initializers.", "keras.initializers."),
        ("tensorflow.compat.v1.", "tensorflow."),
        ("tensorflow.compat.v2.", "tensorflow."),
        ("tensorflow.math.", "tensorflow.math."),
    ):
        if path.startswith(old):
            return new + path[len(old) :]
    return _shorten(path) if path.startswith("keras.") else path


def _shorten(path: str) -> str:
    parts = path.split(".")
    if len(parts) > 3 and (parts[1:3] == ["layers", "merge"] or parts[1] == "utils" and parts[2] in OLD_UTILITIES):
        return f"keras.{parts[1]}.{parts[-1]}"
    if (
        len(parts) > 3
        and parts[1]
        in (
            "layers",
            "initializers",
            "regularizers",
            "constraints",
            "optimizers",
            "losses",
            "metrics",
            "models",
            "activations",
            "callbacks",
        )
        and parts[-1][:1].isupper()
    ):
        own = "legacy." if parts[1:3] == ["optimizers", "legacy"] else ""  # which differ from those of the same name
        return f"keras.{parts[1]}.{own}{parts[-1]}"
    if (
        len(parts) > 2
        and parts[1] in ("engine", "models")
        and parts[-1] in ("Model", "Functional", "Sequential", "Input", "Layer", "InputSpec", "InputLayer")
    ):
        home = "models" if parts[-1] in ("Model", "Functional", "Sequential") else "layers"
        return f"keras.{home}.{parts[-1]}"
    return path


def is_framework(name: str) -> bool:
    return name.partition(".")[0] in FRAMEWORKS


class Loader:
    """Finds and parses the source of modules: below the given roots first, then among installed packages."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = [Path(r).resolve() for r in roots]
        self.installed = [Path(p) for p in sys.path if p and Path(p).is_dir() and "packages" in p]
        self._parsed: dict[Path, SourceModule] = {}

    def find(self, name: str) -> tuple[Path, bool] | None:
        """The file of dotted module `name` and whether it is a package; None if there is none."""
        relative = Path(*name.split("."))
        for root in (*self.roots, *self.installed):
            package = root / relative / "__init__.py"
            if package.is_file():
                return package, True
            module = (root / relative).with_suffix(".py")
            if module.is_file():
                return module, False
        return None

    def in_roots(self, path: Path) -> bool:
        return any(root in path.parents for root in self.roots)

    def load(self, name: str) -> SourceModule | None:
        """The parsed module `name`, or None if its source is not to be evaluated."""
        found = self.find(name)
        if found is None:
            return None
        path, package = found
        module = self.parse_file(path, name, package)
        if not self.in_roots(path) and not module.mentions_keras:
            return None
        return module

    def parse_file(self, path: Path, name: str, package: bool = False) -> SourceModule:
        path = path.resolve()
        if path not in self._parsed:
            self._parsed[path] = parse(read_source(path).text, path, name, package)
        return self._parsed[path]

    def application(self, name: str, generation: str, module: str = "*") -> str | None:
        """The dotted module of the installed Keras that defines the application `name` (`VGG16`), with this last part."""
        for package in (f"{keras}.src.applications" for keras in installed_names(generation)):
            found = self.find(package)
            if found:
                definition = re.compile(rf"^def {re.escape(name)}\(", re.M)
                for path in sorted(found[0].parent.glob(f"{module}.py")):
                    if not path.name.endswith("_test.py") and definition.search(path.read_text(encoding="utf-8")):
                        return f"{package}.{path.stem}"
        return None


def dotted_name(path: Path) -> tuple[str, Path]:
    """The name under which the file at `path` is imported, and the folder above its outermost package."""
    path = path.resolve()
    parts = [] if path.name == "__init__.py" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    if not parts:
        raise Declined("K2T002", f"{path} is not a module")
    return ".".join(parts), folder


def installed_names(generation: str) -> list[str]:
    """The packages that Keras is installed as, that of a generation first: applications call their layers differently."""
    return sorted(("keras", "tf_keras"), reverse=generation == KERAS2)


def is_application(name: str) -> bool:
    """Whether the Keras module `name` is one whose source is evaluated: an application and what it leans on."""
    return re.match(r"(tf_)?keras(\.src)?\.applications\.\w+$", name) is not None


def module_name(path: Path, roots: Iterable[Path]) -> tuple[str, Path]:
    """The dotted name of the file at `path`, by the root that contains it, else by the packages around it."""
    path = path.resolve() if path.exists() else path
    for root in roots:
        root = Path(root).resolve()
        if root in path.parents:
            parts = list(path.relative_to(root).with_suffix("").parts)
            if parts[-1] == "__init__" and len(parts) > 1:
                parts.pop()
            return ".".join(parts), root
    return dotted_name(path) if path.exists() and path.name != "__init__.py" else (path.stem, path.parent)
