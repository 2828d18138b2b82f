"""What a piece of code changed besides the names it binds: lists, dictionaries, sets, objects, variables of closures.

Code that becomes a class, the body of a loop or one side of a branch is evaluated once (or on both sides), however
often it runs. If it changes something that lives outside it, it has to be evaluated where and as often as it runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from types import BuiltinMethodType
from typing import Any

from transpiler.ir.expr import MISSING, Sym
from transpiler.read.keras.evaluate.gathered import Gathered, contents
from transpiler.read.keras.evaluate.stage_unbound import AttributesSet, OneSided
from transpiler.read.keras.evaluate.values import Class, Env, Function, Instance, Model, Unknown

ListsSet = dict[int, tuple[Any, Any]]
"""Lists that hold something else now: id → (list, what it holds); an open list holds what another one does."""


class Snapshot:
    """The containers, objects and scopes that are reached from `values` and from the scopes `env` and `scopes` outwards."""

    def __init__(self, env: Env | None, values: Iterable[Any] = (), scopes: Iterable[Env] = ()) -> None:
        self.containers: list[tuple[Any, Any]] = []
        self.graphs: list[tuple[Model, Any, Any]] = []
        """Sequential models, with the inputs and outputs that they had: these change when a layer is added."""
        self.scopes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.references: Counter[int | str] = Counter()
        """How many names and containers hold each list, by its id, and each open one, by its code."""
        self._seen: set[int] = set()
        for scope in (env, *scopes):
            self._around(scope)
        self._walk(values)

    def _around(self, env: Env | None) -> None:
        while env is not None and id(env) not in self._seen:
            self._seen.add(id(env))
            self.scopes.append((env.names, dict(env.names)))
            self._walk(v for n, v in list(env.names.items()) if not n.startswith("__"))
            env = env.parent

    def _walk(self, values: Iterable[Any]) -> None:
        todo = list(values)
        while todo:
            value = todo.pop()
            value = getattr(value, "__self__", value) if isinstance(value, BuiltinMethodType) else value
            if isinstance(value, (list, Gathered)):
                self.references[id(value)] += 1
            if isinstance(value, Sym) and isinstance(value.witness, list):
                self.references[value.code] += 1
            if isinstance(value, OneSided):
                todo.append(value.value)
            if isinstance(value, Function):
                self._around(value.env)
                todo += [v for v in (*value.defaults, *value.kw_defaults) if isinstance(v, (list, dict, set))]
                continue
            held = self._held(value)
            if held is None and not isinstance(value, tuple) or id(value) in self._seen:
                continue
            self._seen.add(id(value))
            if isinstance(value, Model):
                self.graphs.append((value, value.inputs, value.outputs))
            if held is not None:
                kind = next(k for k in (list, dict, set) if isinstance(held, k))
                self.containers.append((value, kind(held)))
            inner = value if held is None else held
            todo += list(inner.values()) if isinstance(inner, dict) else list(inner)

    def _held(self, value: Any) -> Any:
        """What can change in a value; None if nothing can."""
        if isinstance(value, Instance):
            return value.attributes
        if isinstance(value, Model):
            return value.layers
        if isinstance(value, Class):
            return value.names
        if isinstance(value, Gathered):
            return vars(value)
        return value if isinstance(value, (list, dict, set)) else None

    def holds(self, value: Any) -> bool:
        """Whether a container was there."""
        return any(value is known for known, _ in self.containers)

    def changed(self, own: dict[str, Any] | None = None) -> bool:
        """Whether anything differs now; bindings in `own`, the scope of the code itself, do not count."""
        return any(_differs(self._held(v), copy) for v, copy in self.containers) or self._rebound(own)

    def _rebound(self, own: dict[str, Any] | None) -> bool:
        """Whether a variable of a scope around the code has another value."""
        return any(names is not own and any(_other(names.get(n, MISSING), v) for n, v in copy.items() if not n.startswith("__")) for names, copy in self.scopes)  # fmt: skip

    def lists_set(self) -> ListsSet:
        """The lists that hold something else now, and what that is."""
        return {
            id(x): (x, contents(x))
            for x, copy in self.containers
            if isinstance(x, (list, Gathered)) and _differs(self._held(x), copy)
        }

    def attributes_set(self, own: dict[str, Any]) -> AttributesSet | None:
        """The attributes of objects that have another value now; None if what differs is no list, or one is gone."""
        found: AttributesSet = {}
        notes = [v for x, copy in self.containers if isinstance(x, Instance) for k, v in copy.items() if k[:2] == "__"]
        for x, copy in self.containers:
            if isinstance(x, (list, Gathered)) or not _differs(self._held(x), copy) or any(x is note for note in notes):
                continue
            if not isinstance(x, Instance) or not copy.keys() <= x.attributes.keys():
                return None
            now = {k: v for k, v in x.attributes.items() if k[:2] != "__" and _other(v, copy.get(k, MISSING))}
            found |= {(id(x), k): (x, v) for k, v in now.items()}
        return None if self._rebound(own) else found

    def forget(self, unknown: Unknown) -> bool | None:
        """Lets everything that has another value now be unknown; whether something was known before that is not any more.

        None where that cannot be said of what has changed: a model, a class, a list in a tuple.
        """
        found, lost = False, list[Any]()
        for value, copy in self.containers:
            held = self._held(value)
            if isinstance(value, Instance):
                found = _forget(held, copy, unknown) or found
            elif _differs(held, copy):
                if not isinstance(value, (list, dict, set)):
                    return None
                lost.append(value)
        for names, copy in self.scopes:
            found = _forget(names, copy, unknown) or found
        return bool(lost) or found if self._lose(lost, unknown) else None

    def _lose(self, lost: list[Any], unknown: Unknown) -> bool:
        """Lets nothing hold these lists, dictionaries and sets any more; False where something else does."""
        for names in (*(n for n, _ in self.scopes), *(self._held(v) for v, _ in self.containers)):
            items = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else ()
            for key, value in list(items):
                if any(value is gone for gone in lost):
                    names[key] = unknown
                elif isinstance(value, tuple) and any(v is gone for v in value for gone in lost):
                    return False
        return True

    def restore(self) -> None:
        """Undoes every change."""
        for value, copy in self.containers:
            held = self._held(value)
            if isinstance(held, list):
                held[:] = copy
            elif held is not None:
                held.clear()
                held.update(copy)
        for model, inputs, outputs in self.graphs:
            model.inputs, model.outputs = inputs, outputs
        for names, copy in self.scopes:
            names.update(copy)


def _forget(held: dict[Any, Any], before: dict[Any, Any], unknown: Unknown) -> bool:
    """Lets what differs be unknown; whether any of it was known or not there before."""
    changed = [
        n
        for n, v in {**before, **held}.items()
        if str(n)[:2] != "__" and _other(held.get(n, MISSING), before.get(n, MISSING))
    ]
    known = [n for n in changed if not isinstance(before.get(n), Unknown)]
    held.update(dict.fromkeys(changed, unknown))
    return bool(known)


def restore_lists(states: ListsSet) -> None:
    """Lets lists hold what they held once more."""
    for value, state in states.values():
        if isinstance(value, list):
            value[:] = state
        else:
            vars(value).update(vars(state))


def _differs(now: Any, before: Any) -> bool:
    if now is None or len(now) != len(before) and not isinstance(now, dict):
        return True
    if isinstance(now, dict):
        keys = [k for k in {**now, **before} if not (isinstance(k, str) and k.startswith("__"))]
        return any(_other(now.get(k, MISSING), before.get(k, MISSING)) for k in keys)
    if isinstance(now, set):
        return now != before
    return any(map(_other, now, before))


def _other(a: Any, b: Any) -> bool:
    if a is b:
        return False
    return type(a) is not type(b) or isinstance(a, Sym) or not isinstance(a, (int, float, str, bytes)) or a != b
