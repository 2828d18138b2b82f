"""Standard modules that would act on the world: the few of their names that model code and set-up scripts lean on."""

from __future__ import annotations

import ast
import itertools
import json
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transpiler.ir.expr import MISSING
from transpiler.ir.model import Layer
from transpiler.read.keras.evaluate import natives
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.values import Bound, Class, Function, Instance, Method, Module, Native, Unknown

if TYPE_CHECKING:
    from transpiler.read.keras.evaluate.interpreter import Interpreter


def names_of(name: str, interpreter: Interpreter) -> dict[str, Any]:
    """The names that the standard module `name` has in the evaluation."""
    made = _MAKERS.get(name)
    return made(interpreter) if made else {}


def _nothing(name: str) -> Native:
    return Native(name, lambda *args, **kwargs: None)


def _path(interpreter: Interpreter) -> dict[str, Any]:
    names = ("join", "basename", "dirname", "splitext", "split", "normpath")
    found: dict[str, Any] = {n: Native(n, getattr(posixpath, n)) for n in names}
    found |= {n: Native(n, lambda p, n=n: p) for n in ("abspath", "expanduser", "realpath")}
    found |= {
        n: Native(n, lambda p, n=n: Unknown(f"os.path.{n} looks at the disk"), outward=True)
        for n in ("exists", "isfile", "isdir", "getsize")
    }
    return {**found, "sep": "/"}


class Environment(dict[str, Any]):
    """`os.environ`, in which nothing is set but by the program; what the program asks for in vain is noted."""

    def __init__(self, asked: list[str]) -> None:
        super().__init__()
        self.asked = asked

    def note(self, key: Any) -> None:
        if not dict.__contains__(self, key) and key not in self.asked:
            self.asked.append(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self.note(key)
        return super().get(key, default)

    def __contains__(self, key: Any) -> bool:
        self.note(key)
        return super().__contains__(key)

    def __getitem__(self, key: Any) -> Any:
        self.note(key)
        return super().__getitem__(key)


def _os(interpreter: Interpreter) -> dict[str, Any]:
    found: dict[str, Any] = {n: _nothing(n) for n in ("makedirs", "mkdir", "remove", "putenv", "chdir")}
    return {
        **found,
        "path": interpreter.import_module("os.path"),
        "environ": (environment := Environment(interpreter.asked_environment)),
        "sep": "/",
        "getenv": Native("getenv", environment.get),
    }


def _sys(interpreter: Interpreter) -> dict[str, Any]:
    return {
        "modules": interpreter.modules,
        "version_info": (3, 11, 0),
        "version": "3.11.0",
        "path": [],
        "maxsize": 2**63 - 1,
        "argv": Unknown("the arguments of the program"),
        "platform": "linux",
    }


def _types(interpreter: Interpreter) -> dict[str, Any]:
    return {
        "ModuleType": Native("ModuleType", lambda name, doc=None: Module(name, {"__name__": name})),
        "MethodType": Native("MethodType", lambda function, receiver: Bound(function, receiver)),
        "FunctionType": Unknown("types.FunctionType"),
    }


def _importlib(interpreter: Interpreter) -> dict[str, Any]:
    return {
        "import_module": Native("import_module", lambda name, package=None: interpreter.import_module(name)),
        "util": interpreter.import_module("importlib.util"),
    }


def _importlib_util(interpreter: Interpreter) -> dict[str, Any]:
    def from_spec(spec: Module) -> Module:
        return Module(spec.names["name"], {"__name__": spec.names["name"]})

    def execute(spec_name: str, file: str) -> Any:
        def run(module: Module) -> None:
            source = interpreter.loader.parse_file(Path(file), spec_name)
            evaluated = interpreter.evaluate_module(source)
            module.names.update(evaluated.names)
            module.source = source
            interpreter.modules[spec_name] = module

        return run

    def spec(name: str, file: str, **_: Any) -> Module:
        loader = Module("loader", {"exec_module": Native("exec_module", execute(name, file))})
        return Module("spec", {"name": name, "origin": file, "loader": loader})

    return {
        "spec_from_file_location": Native("spec_from_file_location", spec),
        "module_from_spec": Native("module_from_spec", from_spec),
        "find_spec": Native("find_spec", lambda name, package=None: Unknown("find_spec looks at the disk")),
    }


def _abc(interpreter: Interpreter) -> dict[str, Any]:
    identity = Native("abstractmethod", lambda f: f)
    return {"ABC": object, "ABCMeta": type, "abstractmethod": identity}


def _warnings(interpreter: Interpreter) -> dict[str, Any]:
    return {n: _nothing(n) for n in ("warn", "filterwarnings", "simplefilter")}


def _logging(interpreter: Interpreter) -> dict[str, Any]:
    names = ("debug", "info", "warning", "error", "basicConfig", "setLevel")
    logger = Module("logger", {n: _nothing(n) for n in names})
    return {
        **logger.names,
        "getLogger": Native("getLogger", lambda *a: logger),
        "INFO": 20,
        "DEBUG": 10,
        "WARNING": 30,
        "ERROR": 40,
    }


def _contextlib(interpreter: Interpreter) -> dict[str, Any]:
    return {"nullcontext": Native("nullcontext", lambda enter_result=None: enter_result)}


def _dataclasses(interpreter: Interpreter) -> dict[str, Any]:
    def dataclass(cls: Any = None, **options: Any) -> Any:
        if cls is None:
            return Native("dataclass", dataclass)
        if isinstance(cls, Class) and "__init__" not in cls.names and options.get("init", True):
            cls.names["__init__"] = Native(
                "__init__", lambda *args, **kwargs: _fill_fields(interpreter, cls, args[0], args[1:], kwargs)
            )
        return cls

    def field(**options: Any) -> Any:
        return _Field(options)

    def asdict(instance: Any) -> Any:
        return (
            dict(instance.attributes)
            if isinstance(instance, Instance)
            else Unknown("dataclasses.asdict of an unknown object")
        )

    return {
        "dataclass": Native("dataclass", dataclass),
        "field": Native("field", field),
        "asdict": Native("asdict", asdict),
    }


@dataclass(frozen=True)
class _Field:
    """What `dataclasses.field(...)` returned."""

    options: dict[str, Any]


def _fill_fields(
    interpreter: Interpreter, cls: Class, instance: Instance, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """The constructor that `dataclass` writes: one parameter for each annotated name, those of base classes first."""
    names: list[str] = []
    for c in reversed([c for c in cls.mro() if isinstance(c, Class)]):
        fields = [
            s.target.id
            for s in c.node.body
            if isinstance(s, ast.AnnAssign)
            and isinstance(s.target, ast.Name)
            and "ClassVar" not in ast.unparse(s.annotation)
        ]
        names += [n for n in fields if n not in names]
    options = {n: cls.lookup(n).options for n in names if isinstance(cls.lookup(n), _Field)}
    taken = [n for n in names if options.get(n, {}).get("init", True)]
    given = dict(zip(taken, args))
    if len(args) > len(taken) or not kwargs.keys() <= set(taken) - given.keys():
        raise TypeError(f"{cls.name}() got arguments that do not fit its fields")
    given |= kwargs
    for name in names:
        if name not in given:
            if "default_factory" in options.get(name, {}):
                given[name] = interpreter.call(options[name]["default_factory"], [], {})
            elif "default" in options.get(name, {}):
                given[name] = options[name]["default"]
            elif name in options or not any(name in c.names for c in cls.mro() if isinstance(c, Class)):
                raise TypeError(f"{cls.name}() misses the argument {name!r}")
            else:
                given[name] = cls.lookup(name)
        interpreter.setattr(instance, name, given[name])
    after = cls.lookup("__post_init__")
    if after is not None:
        interpreter.call(Bound(after, instance), [], {})


def _inspect(interpreter: Interpreter) -> dict[str, Any]:
    empty = Module("empty", {})

    def signature(function: Any) -> Any:
        bound = isinstance(function, Bound)
        function = function.function if bound else function
        if isinstance(function, Function):
            parameters = parameters_of(function, empty)[1 if bound else 0 :]
        elif isinstance(function, Method) and function.name == "call" and isinstance(function.receiver, Layer):
            trained = interpreter.depends_on_training(function.receiver)  # type: ignore[attr-defined]
            parameters = [("inputs", empty), *([("training", None)] if trained else [])]
        else:
            return Unknown("the signature of something that is not a function of the program")
        found = {n: Module("parameter", {"name": n, "default": d}) for n, d in parameters}
        return Module("signature", {"parameters": found})

    return {
        "isclass": Native("isclass", lambda v: not isinstance(v, Instance) and hasattr(v, "mro")),
        "signature": Native("signature", signature),
        "Parameter": Module("Parameter", {"empty": empty}),
    }


def parameters_of(function: Function, empty: Any) -> list[tuple[str, Any]]:
    """The names of a function's parameters with their defaults, `empty` for those that have none."""
    a = function.node.args
    positional = [p.arg for p in (*a.posonlyargs, *a.args)]
    defaults = [*[empty] * (len(positional) - len(function.defaults)), *function.defaults]
    rest = [(p.arg, empty) for p in (a.vararg, a.kwarg) if p is not None]
    named = [(p.arg, empty if d is MISSING else d) for p, d in zip(a.kwonlyargs, function.kw_defaults)]
    return [*zip(positional, defaults), *named, *rest]


def _version(interpreter: Interpreter) -> dict[str, Any]:
    def parse(text: Any) -> Any:
        numbers = str(text).split("+")[0].split(".")
        return tuple(int(n) if n.isdigit() else 0 for n in numbers) if isinstance(text, str) else text

    return {n: Native(n, parse) for n in ("LooseVersion", "StrictVersion")}


def _six(interpreter: Interpreter) -> dict[str, Any]:
    def raise_from(error: Any, cause: Any) -> None:
        raise ProgramError(error)

    identity = Native("add_metaclass", lambda metaclass: lambda cls: cls)
    found = {
        "PY2": False,
        "PY3": True,
        "string_types": (str,),
        "integer_types": (int,),
        "text_type": str,
        "binary_type": bytes,
        "iteritems": Native("iteritems", lambda d: list(d.items())),
        "iterkeys": Native("iterkeys", list),
        "itervalues": Native("itervalues", lambda d: list(d.values())),
        "with_metaclass": Native("with_metaclass", lambda metaclass, *bases: bases[0] if bases else object),
        "add_metaclass": identity,
        "wraps": natives.FUNCTOOLS.wraps,
        "raise_from": Native("raise_from", raise_from),
    }
    return {**found, "moves": interpreter.import_module("six.moves")}


def _six_moves(interpreter: Interpreter) -> dict[str, Any]:
    return {n: natives.PURE[n] for n in ("range", "zip", "map", "filter")} | {
        "xrange": range,
        "reduce": natives.FUNCTOOLS.reduce,
        "zip_longest": itertools.zip_longest,
    }


def _json(interpreter: Interpreter) -> dict[str, Any]:
    """`json.loads` of a text that the program has."""

    def loads(text: Any, **options: Any) -> Any:
        if not isinstance(text, str) or options:
            return Unknown("json.loads() of what is not a text of the program")
        try:
            return json.loads(text)
        except ValueError as error:
            raise ProgramError(str(error)) from None

    return {"loads": Native("loads", loads)}


_MAKERS = {
    "json": _json,
    "distutils.version": _version,
    "six": _six,
    "six.moves": _six_moves,
    "os": _os,
    "os.path": _path,
    "sys": _sys,
    "types": _types,
    "importlib": _importlib,
    "importlib.util": _importlib_util,
    "abc": _abc,
    "warnings": _warnings,
    "logging": _logging,
    "inspect": _inspect,
    "contextlib": _contextlib,
    "dataclasses": _dataclasses,
}
