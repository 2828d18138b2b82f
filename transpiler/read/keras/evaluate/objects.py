"""Classes, instances, attributes, and Python's own functions on them."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import (
    MISSING,
    NeedsConstant,
    Sym,
    observe,
)
from transpiler.ir.model import ApiObject, ApiValue, Layer
from transpiler.ir.program import Value
from transpiler.read.keras.evaluate import natives
from transpiler.read.keras.evaluate.bases import MUTABLE, make_native, native_base, native_member, plain
from transpiler.read.keras.evaluate.signals import (
    OPAQUE,
    ProgramError,
)
from transpiler.read.keras.evaluate.syntax import (
    OpenMethod,
    types_ast,
)
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Bound,
    Class,
    Env,
    Function,
    Instance,
    Method,
    Model,
    Module,
    Native,
    Property,
    Super,
    TensorShape,
    Unknown,
    Wrapped,
)


class Objects:
    """The part of the interpreter that knows objects."""

    def instantiate(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Any:
        new = cls.lookup("__new__")
        made = self.call(new, [cls, *args], kwargs) if new is not None else self.new_object(cls, args, kwargs)
        if not isinstance(made, Instance) or cls not in made.cls.mro():
            return made
        init = cls.lookup("__init__")
        if init is not None:
            self.call(Bound(init, made), args, kwargs)
        elif isinstance(made.native, MUTABLE):
            self.native(made.native.__init__, args, kwargs)  # type: ignore[misc]
        return made

    def new_object(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Instance:
        """What `object.__new__` makes, or that of the type of Python's own that the class derives from."""
        instance = Instance(cls)
        if any(isinstance(b, type) and issubclass(b, BaseException) for b in cls.mro()):
            instance.attributes["args"] = tuple(args)
        base = native_base(cls, lambda default: self.eval(default, cls.env))
        if base is not None:
            instance.attributes["__native__"] = self.native(make_native, [base, args, kwargs], {})
        return instance

    def object_new(self) -> Native:
        return Native("__new__", lambda cls, *args, **kwargs: self.new_object(cls, list(args), kwargs))

    def getattr(self, value: Any, name: str) -> Any:
        """`value.name`; raises ProgramError(AttributeError) where Python would."""
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Instance):
            return self.instance_attribute(value, name)
        if isinstance(value, Class):
            return self.class_attribute(value, name)
        if isinstance(value, Super):
            return self.super_attribute(value, name)
        if isinstance(value, Module):
            if name in value.names:
                return value.names[name]
            if "__getattr__" in value.names and not name.startswith("__"):
                return self.call(value.names["__getattr__"], [name], {})
            return (
                self.import_name(value.name, value, name)
                if value.source or "__path__" in value.names
                else self.inert_attribute(value, name)
            )
        if isinstance(value, Alternative):
            return Alternative(
                value.test, self.getattr(value.then, name), self.getattr(value.otherwise, name), value.home
            )
        if isinstance(value, (ApiValue, ApiObject, Layer, Model, Value, TensorShape)):
            return self.keras_attribute(value, name)
        if isinstance(value, Function):
            if name in value.attributes:
                return value.attributes[name]
            if name in ("__name__", "__qualname__"):
                return value.name
            if name == "__doc__":
                return None
            raise ProgramError(AttributeError(name))
        if isinstance(value, Property) and name == "setter":
            return Method("setter", value)
        if isinstance(value, Sym):
            return self.open_attribute(value, name)
        if isinstance(value, Native):
            return Unknown(f"{value.name}.{name}")
        if value is object and name == "__new__":
            return self.object_new()
        if name.startswith("__") and name not in ("__name__", "__len__", "__class__", "__getitem__", "__doc__"):
            return Unknown(name)
        try:
            found = getattr(value, name)
        except AttributeError as error:
            raise ProgramError(error) from None
        if isinstance(value, (list, dict, set)) and callable(found):
            return found
        return found

    def inert_attribute(self, value: Module, name: str) -> Any:
        return Unknown(f"{value.name}.{name} is not evaluated")

    def open_attribute(self, value: Sym, name: str) -> Any:
        if isinstance(value.witness, (str, list, dict, tuple, int, float)) and hasattr(value.witness, name):
            return OpenMethod(self, value, name)
        raise NeedsConstant(value)

    def instance_attribute(self, value: Instance, name: str) -> Any:
        if name in value.attributes:
            return value.attributes[name]
        if name == "__class__":
            return value.cls
        if name == "__dict__":
            return value.attributes
        found = value.cls.lookup(name)
        if found is None and not any(isinstance(c, Class) and name in c.names for c in value.cls.mro()):
            return self.missing_attribute(value, name)
        return self.bind_member(found, value, value.cls)

    def missing_attribute(self, value: Instance, name: str) -> Any:
        native = native_member(value, name)
        if native is not MISSING:
            return native
        getter = value.cls.lookup("__getattr__")
        if getter is not None:
            return self.call(Bound(getter, value), [name], {})
        for base in value.cls.mro():
            if isinstance(base, (ApiValue, Unknown)):
                return Unknown(f"{value.cls.name}.{name} comes from a base class that is not evaluated")
            if isinstance(base, type) and base is not object and hasattr(base, name):
                return Native(name, lambda *a, **k: None)
        raise ProgramError(AttributeError(f"{value.cls.name!r} object has no attribute {name!r}"))

    def bind_member(self, found: Any, receiver: Any, cls: Any) -> Any:
        if isinstance(found, Property):
            return self.call(found.getter, [receiver], {})
        if isinstance(found, Wrapped):
            return found.function if found.kind == "staticmethod" else Bound(found.function, cls)
        if isinstance(found, Function):
            return Bound(found, receiver)
        return found

    def class_attribute(self, value: Class, name: str) -> Any:
        if name in ("__name__", "__qualname__"):
            return value.name
        if any(isinstance(c, Class) and name in c.names for c in value.mro()):
            found = value.lookup(name)
            return (
                Bound(found.function, value)
                if isinstance(found, Wrapped) and found.kind == "classmethod"
                else getattr(found, "function", found) if isinstance(found, Wrapped) else found
            )
        if any(isinstance(b, (ApiValue, Unknown)) for b in value.mro()):
            return self.base_class_attribute(value, name)
        if name == "__new__":
            return self.object_new()
        if name in ("__init__", "__call__"):
            return Native(name, lambda *a, **k: None)
        if value.node.keywords or name.startswith("__"):
            return Unknown(f"{value.name}.{name} comes from a metaclass")
        raise ProgramError(AttributeError(f"type object {value.name!r} has no attribute {name!r}"))

    def base_class_attribute(self, value: Class, name: str) -> Any:
        return Unknown(f"{value.name}.{name} comes from a base class that is not evaluated")

    def super_attribute(self, value: Super, name: str) -> Any:
        receiver = value.receiver
        cls = receiver.cls if isinstance(receiver, (Instance, Model)) and receiver.cls else value.cls
        cls = receiver if isinstance(receiver, Class) else cls
        mro = cls.mro()
        found = cls.lookup(name, after=value.cls, mro=mro)
        if found is not None:
            return found if name == "__new__" else self.bind_member(found, receiver, cls)
        if name == "__new__":
            return self.object_new()
        native = native_member(receiver, name) if isinstance(receiver, Instance) else MISSING
        return self.super_of_api(value, name) if native is MISSING else native

    def super_of_api(self, value: Super, name: str) -> Any:
        return Native(name, lambda *a, **k: None)

    def setattr(self, target: Any, name: str, value: Any) -> None:
        if isinstance(target, Instance):
            found = target.cls.lookup(name)
            if isinstance(found, Property) and found.setter:
                self.call(found.setter, [target, value], {})
            else:
                target.attributes[name] = value
        elif isinstance(target, (Function, Layer)):
            self.attribute_set(target, name, value)
            target.attributes[name] = value
        elif isinstance(target, (Class, Module)):
            target.names[name] = value
        elif isinstance(target, Model):
            self.attribute_set(target, name, value)
            target.attributes[name] = value
        elif isinstance(target, Sym):
            raise NeedsConstant(target)

    def attribute_set(self, target: Any, name: str, value: Any) -> None:
        """Called before the program sets an attribute of a layer or a model."""

    def keras_attribute(self, value: Any, name: str) -> Any:
        raise NotImplementedError

    def _builtins(self) -> dict[str, Any]:
        table: dict[str, Any] = {**natives.PURE, **natives.EXCEPTIONS}
        table |= {
            "print": Native("print", lambda *a, **k: None),
            "isinstance": Native("isinstance", self.is_instance),
            "issubclass": Native("issubclass", lambda c, b: b in c.mro() if isinstance(c, Class) else False),
            "type": Native("type", self.type_of),
            "getattr": Native("getattr", self.getattr_default),
            "hasattr": Native("hasattr", self.has_attribute),
            "setattr": Native("setattr", lambda o, n, v: self.setattr(o, n, v)),
            "callable": Native("callable", self.is_callable),
            "super": Native("super", None),  # type: ignore[arg-type]
            "globals": Native("globals", None),  # type: ignore[arg-type]
            "locals": Native("locals", None),  # type: ignore[arg-type]
            "vars": Native("vars", None),  # type: ignore[arg-type]
            "staticmethod": Native("staticmethod", lambda f: Wrapped("staticmethod", f)),
            "classmethod": Native("classmethod", lambda f: Wrapped("classmethod", f)),
            "property": Native("property", lambda f: Property(f)),
            "open": Native("open", lambda *a, **k: Unknown("open() is not evaluated")),
            "input": Native("input", lambda *a: Unknown("input() is not evaluated")),
            "eval": Native("eval", lambda *a, **k: self.eval_text(*a)),
            "exec": Native("exec", lambda *a, **k: Unknown("exec() is not evaluated")),
            "__import__": Native("__import__", lambda name, *a, **k: self.import_module(name)),
            "NotImplemented": NotImplemented,
            "Ellipsis": Ellipsis,
            "__name__": "__keras2torch__",
            "__debug__": True,
        }
        table["hash"] = Native(
            "hash", lambda v: hash(v) if isinstance(v, Instance) or not isinstance(v, OPAQUE) else id(v)
        )
        table["len"] = Native("len", self.length)
        table["str"], table["map"], table["filter"] = str, map, filter
        return table

    def eval_text(self, text: Any, *scopes: Any) -> Any:
        if isinstance(text, Sym):
            raise NeedsConstant(text)
        if not isinstance(text, str) or not self.stack:
            return Unknown("eval() of an unknown text")
        try:
            node = ast.parse(text, mode="eval").body
        except SyntaxError as error:
            raise ProgramError(error) from None
        names = self.modules.get(self.stack[-1][0].name)
        env = Env(None, "module", self.stack[-1][0], names.names if isinstance(names, Module) else {})
        return self.eval(node, env)

    def length(self, value: Any) -> Any:
        if isinstance(value, Unknown):
            return value
        if isinstance(value, TensorShape):
            return len(value.dims)
        if isinstance(value, Alternative):
            return self.split(value, self.length)
        if isinstance(value, Sym):
            return Sym(ast.Call(ast.Name("len", ast.Load()), [value.expr], []), observe(len, value))
        if isinstance(value, Instance) and value.cls.lookup("__len__"):
            return self.call(Bound(value.cls.lookup("__len__"), value), [], {})
        if isinstance(value, Value):
            return value.type.shape[0]
        return len(plain(value))

    def is_instance(self, value: Any, kinds: Any) -> Any:
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Alternative):
            return self.split_test(value, lambda v: self.is_instance(v, kinds))
        if isinstance(value, Sym):
            if value.witness is MISSING:
                raise NeedsConstant(value)
            result = self.is_instance(value.witness, kinds)
            return Sym(ast.Call(ast.Name("isinstance", ast.Load()), [value.expr, types_ast(kinds, value)], []), result)
        for kind in kinds if isinstance(kinds, tuple) else (kinds,):
            if isinstance(kind, tuple):
                if self.is_instance(value, kind):
                    return True
            elif isinstance(kind, type):
                if isinstance(plain(value), kind) and not isinstance(plain(value), OPAQUE):
                    return True
            elif isinstance(kind, Class):
                if isinstance(value, (Instance, Model)) and value.cls is not None and kind in value.cls.mro():
                    return True
            elif isinstance(kind, ApiValue) and self.is_keras_instance(value, kind):
                return True
        return False

    def is_keras_instance(self, value: Any, kind: ApiValue) -> bool:
        return False

    def is_callable(self, value: Any) -> Any:
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Alternative):
            return self.split_test(value, self.is_callable)
        if isinstance(value, Instance):
            return value.cls.lookup("__call__") is not None
        return isinstance(value, (Function, Bound, Class, Layer, Model, ApiValue, Native)) or callable(value)

    def type_of(self, value: Any, *rest: Any) -> Any:
        if isinstance(value, Instance):
            return value.cls
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Sym):
            return Sym(ast.Call(ast.Name("type", ast.Load()), [value.expr], []), observe(type, value))
        if isinstance(value, OPAQUE):
            return Unknown(f"the type of {value!r}")
        return type(value)

    def getattr_default(self, value: Any, name: Any, *default: Any) -> Any:
        if isinstance(name, Sym):
            raise NeedsConstant(name)
        try:
            return self.getattr(value, name)
        except ProgramError as error:
            if default and isinstance(error.value, AttributeError):
                return default[0]
            raise

    def has_attribute(self, value: Any, name: str) -> Any:
        try:
            found = self.getattr(value, name)
        except ProgramError:
            return False
        except Declined:
            return False
        return found if isinstance(value, Unknown) else True
