"""Imports inside a child: stand-ins for what is missing, converted texts in place of their sources, lazy names."""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

FRAMEWORKS = ("keras", "tensorflow", "tf_keras")
NEVER_STUBBED = (*FRAMEWORKS, "numpy", "torch", "tqdm", "lightning", "torchmetrics", "accelerate")
LIBRARIES = (
    *NEVER_STUBBED, "sympy", "mpmath", "networkx", "fsspec", "jinja2", "lightning_utilities", "scipy", "PIL", "pandas",
    "sklearn", "matplotlib",
)  # fmt: skip
"""These, what they need, and what programs use often: they try what is optional and must see that it is missing."""


class _AnyAttribute(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Stub


class Stub(metaclass=_AnyAttribute):
    """Stands for anything of a package that is not there: a base class, a decorator, a function, a constant."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Stub and len(args) == 1 and not kwargs and callable(args[0]):
            return args[0]
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if len(args) == 1 and not kwargs and callable(args[0]) else Stub()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Stub()

    def __iter__(self) -> Any:
        return iter(())


class StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers imports with stand-ins: of `tops` always (placed first), or of whatever is missing (placed last)."""

    def __init__(self, tops: Iterable[str] | None, converted: Callable[[str], bool] = lambda name: False) -> None:
        self.tops = None if tops is None else frozenset(tops)
        self.converted = converted
        self.names: list[str] = []

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        top = fullname.partition(".")[0]
        if self.tops is not None and top not in self.tops or self.converted(fullname):
            return None
        if self.tops is None and (not self._may_stand_in(fullname, top) or self._found_later(fullname, path)):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def _found_later(self, fullname: str, path: Any) -> bool:
        """Whether a finder that was added since finds it: `six` adds one for `six.moves`."""
        later = sys.meta_path[sys.meta_path.index(self) + 1 :] if self in sys.meta_path else []
        return any(f.find_spec(fullname, path) is not None for f in later if hasattr(f, "find_spec"))

    def _may_stand_in(self, fullname: str, top: str) -> bool:
        known = top in NEVER_STUBBED or top in sys.stdlib_module_names or top.startswith("_")
        return not (known or _is_real(fullname) or _asked_by_library())

    def create_module(self, spec: Any) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__path__ = []
        module.__version__ = "9.9.9"  # type: ignore[attr-defined]

        def attribute(name: str) -> Any:
            if name == "__all__":  # `from … import *`
                return _names_wanted()
            if name.startswith("__") and name.endswith("__"):
                raise AttributeError(name)
            if self.converted(f"{spec.name}.{name}"):
                return importlib.import_module(f"{spec.name}.{name}")
            return Stub

        module.__getattr__ = attribute  # type: ignore[method-assign]
        self.names.append(spec.name)
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def _importing_frame() -> types.FrameType | None:
    """The frame of the code that imports right now."""
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None and ("importlib" in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    return frame


def _names_wanted() -> list[str]:
    """The names that the importing module may mean to get by `*`: those of its code that it has not bound so far."""
    frame = _importing_frame()
    todo, found = [frame.f_code] if frame is not None else [], set()
    while todo:
        code = todo.pop()
        found.update(code.co_names)
        todo += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    known = {*dir(builtins), *(frame.f_globals if frame is not None else ())}
    return sorted(n for n in found - known if not n.startswith("__"))


def _asked_by_library() -> bool:
    """Whether the import comes from inside of one of the LIBRARIES."""
    frame = _importing_frame()
    folders = [f"{os.sep}site-packages{os.sep}{name}{os.sep}" for name in LIBRARIES]
    return frame is not None and any(folder in frame.f_code.co_filename for folder in folders)


def _is_real(fullname: str) -> bool:
    """Whether a parent package exists as source: its missing submodule is the program's own mistake."""
    parent = sys.modules.get(fullname.rpartition(".")[0])
    return parent is not None and any(os.path.isdir(p) for p in getattr(parent, "__path__", ()))


class ConvertedSources(importlib.abc.MetaPathFinder):
    """Makes every import of a converted source file run the converted text instead.

    Works by real path, so also for files loaded with `spec_from_file_location`; and by dotted name for modules of
    the frameworks, which are stand-ins on this side.
    """

    def __init__(self, texts: dict[str, str], names: dict[str, str]) -> None:
        self.texts = {os.path.realpath(path): text for path, text in texts.items()}
        self.names = names

    def install(self) -> None:
        loader = importlib.machinery.SourceFileLoader
        original, texts = loader.get_code, self.texts

        def get_code(this: Any, fullname: str) -> Any:
            text = texts.get(os.path.realpath(this.path))
            if text is None:
                return original(this, fullname)
            return compile(text, this.path, "exec", dont_inherit=True)

        loader.get_code = get_code  # type: ignore[method-assign]
        sys.meta_path.insert(0, self)

    def has(self, fullname: str) -> bool:
        return fullname in self.names

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        file = self.names.get(fullname)
        if file is None or fullname.partition(".")[0] not in FRAMEWORKS:
            return None
        package = [os.path.dirname(file)] if os.path.basename(file) == "__init__.py" else None
        loader = importlib.machinery.SourceFileLoader(fullname, file)
        return importlib.util.spec_from_file_location(fullname, file, loader=loader, submodule_search_locations=package)


class Names(dict):  # type: ignore[type-arg]
    """The scope of `setup` and of an entry: the target module is imported when one of its names is first needed.

    So a setup that must come before the module (one that prepares `sys.modules`) and one that uses the module's
    names both work.
    """

    def __init__(self, module: str) -> None:
        super().__init__(__name__="__main__", __builtins__=builtins)
        self._module, self._imported = module, False

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) or self._imported or (name.startswith("__") and name.endswith("__")):
            raise KeyError(name)
        self._imported = True
        for key, value in vars(importlib.import_module(self._module)).items():
            if not (key.startswith("__") and key.endswith("__")):
                self.setdefault(key, value)
        return self[name]


def run_entry(module: str, setup: str, expression: str) -> Any:
    """The value of `expression` after `setup`, in the names of both and of the module."""
    names = Names(module)
    exec(compile(setup, "<setup>", "exec", dont_inherit=True), names)
    return eval(compile(expression.strip(), "<entry>", "eval", dont_inherit=True), names)


def brief(error: BaseException) -> str:
    """What was raised, first, and then the line of the program (not of a library) that led to it."""
    what = "".join(traceback.format_exception_only(error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not any(p in f.filename for p in ("site-packages", "transpiler/verify", "<frozen"))]
    place = f"\n  at {own[-1].filename}:{own[-1].lineno}: {own[-1].line}" if own else ""
    return what[:1200] + place


def add_roots(roots: Sequence[str]) -> None:
    """Puts import roots in front, in their order."""
    sys.path[:0] = [r for r in roots if r not in sys.path]
