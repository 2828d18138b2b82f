"""Expressions: names, operators, comparisons, items, comprehensions."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import (
    MISSING,
    OPERATORS,
    NeedsConstant,
    Sym,
    binary,
    first_symbol,
    is_open,
    is_record,
    observe,
    same,
    to_ast,
)
from transpiler.ir.facts import opposite
from transpiler.ir.model import ApiValue
from transpiler.ir.program import Value
from transpiler.read.keras.evaluate import natives
from transpiler.read.keras.evaluate.arrays import NumpyArray
from transpiler.read.keras.evaluate.bases import plain
from transpiler.read.keras.evaluate.layer_names import AutomaticName, compare_names
from transpiler.read.keras.evaluate.signals import (
    OPAQUE,
    NotKept,
    ProgramError,
)
from transpiler.read.keras.evaluate.syntax import (
    COMPARISON_METHODS,
    COMPARISONS,
    MIRRORED,
    compared_ast,
    comparison_of_choice,
    first_open,
)
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Bound,
    Env,
    Instance,
    Module,
    SizeTensor,
    TensorShape,
    Unknown,
    has_tensors,
)

MAX_ITEMS = 1_000_000
"""How many items a loop of the source may run over, and how many a list or a string may be repeated to."""

MIN_REPEATED = 3
"""Fewest equal items of a list that are written once."""

MAX_BITS = 1_000_000
"""The size of the largest integer that is computed."""


def is_huge(op: ast.operator, left: Any, right: Any) -> bool:
    """Whether an operation would fill the memory rather than describe a model."""
    if isinstance(op, ast.Mult) and isinstance(right, (str, bytes, list, tuple)):
        left, right = right, left
    if not isinstance(right, int):
        return False
    if isinstance(op, ast.Mult):
        return isinstance(left, (str, bytes, list, tuple)) and len(left) * right > MAX_ITEMS
    if not isinstance(left, int):
        return False
    if isinstance(op, ast.Pow):
        return left.bit_length() * right > MAX_BITS
    return isinstance(op, ast.LShift) and right > MAX_BITS


def repeated(value: Any) -> ast.expr | None:
    """A list or tuple of one static value again and again, written so; None if it is none."""
    if type(value) not in (list, tuple) or len(value) < MIN_REPEATED or not all(same(value[0], v) for v in value[1:]):
        return None
    return ast.BinOp(to_ast(type(value)(value[:1])), ast.Mult(), ast.Constant(len(value)))


class Expressions:
    """The part of the interpreter that evaluates expressions."""

    def eval(self, node: ast.expr, env: Env) -> Any:
        handler = self._eval_table.get(type(node))
        if handler is None:
            raise Declined("K2T203", f"{type(node).__name__} expressions are not evaluated", "", env.module.span(node))
        value = handler(node, env)
        if (
            isinstance(value, (Unknown, NumpyArray))
            or type(value) is tuple
            and type(node) in (ast.Attribute, ast.Subscript)
        ):
            return self.unknown_at(value, node, env)
        return value

    def unknown_at(self, value: Any, node: ast.expr, env: Env) -> Any:
        """What is kept of a value that the evaluation of `node` does not know, or of which it does not know items or numbers."""
        return value

    def eval_Constant(self, node: ast.Constant, env: Env) -> Any:
        return node.value

    def eval_Name(self, node: ast.Name, env: Env) -> Any:
        scope = env.scope_of(node.id)
        if scope is not None:
            if scope is not env and scope.kind == "module" and hasattr(type(scope.names[node.id]), "__next__"):
                raise self.declined("K2T201", f"{node.id} is an iterator that goes on from one call to the next")
            return self.read_name(node.id, scope, env)
        if node.id in self.builtins:
            return self.builtins[node.id]
        if node.id == "__file__":
            return str(env.module.path)
        starred = env.top.names.get("__star__")
        if starred:  # part of the framework, if not a part that is known here
            return self.getattr(next((m for m in starred if m.path.endswith("layers")), starred[0]), node.id)
        raise ProgramError(NameError(f"name {node.id!r} is not defined"))

    def read_name(self, name: str, scope: Env, env: Env) -> Any:
        return scope.names[name]

    def eval_Tuple(self, node: ast.Tuple, env: Env) -> Any:
        return tuple(self.eval_items(node.elts, env))

    def eval_List(self, node: ast.List, env: Env) -> Any:
        return self.eval_items(node.elts, env)

    def eval_Set(self, node: ast.Set, env: Env) -> Any:
        return set(self.eval_items(node.elts, env))

    def eval_items(self, nodes: list[ast.expr], env: Env) -> list[Any]:
        items: list[Any] = []
        unknown: list[Unknown] = []
        for n in nodes:
            value = self.eval(n.value if isinstance(n, ast.Starred) else n, env)
            if isinstance(n, ast.Starred) and isinstance(value, Unknown):
                unknown.append(value)  # the others are evaluated for what they do
            else:
                items.extend(self.iterate(value) if isinstance(n, ast.Starred) else [value])
        for value in unknown:
            items.extend(self.iterate(value))  # which says why not
        return items

    def eval_Dict(self, node: ast.Dict, env: Env) -> Any:
        result: dict[Any, Any] = {}
        for k, v in zip(node.keys, node.values):
            if k is None:
                inner = self.eval(v, env)
                if isinstance(inner, Sym):
                    raise NeedsConstant(inner)
                result.update(inner if isinstance(inner, dict) else {})
            else:
                result[self.eval(k, env)] = self.eval(v, env)
        return result

    def eval_JoinedStr(self, node: ast.JoinedStr, env: Env) -> Any:
        parts: list[Any] = []
        for piece in node.values:
            if isinstance(piece, ast.Constant):
                parts.append(piece.value)
                continue
            value = self.eval(piece.value, env)  # type: ignore[attr-defined]
            if isinstance(value, Unknown):
                return value
            if isinstance(value, Alternative):
                return Unknown("a text with a value that depends on a parameter")
            spec = self.eval(piece.format_spec, env) if piece.format_spec else ""  # type: ignore[attr-defined]
            if is_open(value) or is_open(spec):
                if is_open(spec):
                    raise NeedsConstant(spec)
                shown = observe(lambda v, p=piece, s=spec: format(CONVERSIONS.get(p.conversion, _as_is)(v), s), value)  # type: ignore[attr-defined]
                written = ast.JoinedStr([ast.Constant(spec)]) if spec else None
                parts.append(ast.FormattedValue(to_ast(value), piece.conversion, written))  # type: ignore[attr-defined]
                parts[-1].witness = Sym(to_ast(value), shown)  # type: ignore[attr-defined]
            else:
                convert = CONVERSIONS.get(piece.conversion, _as_is)  # type: ignore[attr-defined]
                parts.append(
                    self.native(format, [convert(value) if not isinstance(value, OPAQUE) else str(value), spec], {})
                )
        if all(isinstance(p, str) for p in parts):
            return "".join(parts)
        witnesses = [p if isinstance(p, str) else p.witness for p in parts]
        witness = observe(lambda *w: "".join(map(str, w)), *witnesses)
        return Sym(ast.JoinedStr([ast.Constant(p) if isinstance(p, str) else p for p in parts]), witness)

    def eval_Starred(self, node: ast.Starred, env: Env) -> Any:
        return self.eval(node.value, env)

    def eval_NamedExpr(self, node: ast.NamedExpr, env: Env) -> Any:
        value = self.eval(node.value, env)
        self.assign(node.target, value, env)
        return value

    def eval_Await(self, node: ast.Await, env: Env) -> Any:
        return Unknown("await")

    def eval_Yield(self, node: Any, env: Env) -> Any:
        raise self.declined("K2T203", "generators are not evaluated")

    eval_YieldFrom = eval_Yield

    def eval_Lambda(self, node: ast.Lambda, env: Env) -> Any:
        return self.make_function(node, env)

    def eval_UnaryOp(self, node: ast.UnaryOp, env: Env) -> Any:
        if isinstance(node.op, ast.Not):
            test = self.eval_test(node.operand, env)
            if isinstance(test, Sym):
                return Sym(opposite(test.expr), observe(lambda w: not w, test))
            return test if isinstance(test, Unknown) else not test
        return self.unary(node.op, self.eval(node.operand, env))

    def unary(self, op: ast.unaryop, value: Any) -> Any:
        """`-x`, `+x` or `~x`."""
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Value):
            return self.tensor_unary(op, value)
        apply = {ast.USub: lambda v: -v, ast.UAdd: lambda v: +v, ast.Invert: lambda v: ~v}[type(op)]
        if isinstance(value, Sym):
            return Sym(ast.UnaryOp(op, value.expr), observe(apply, value))
        return self.native(apply, [value], {})

    def eval_BinOp(self, node: ast.BinOp, env: Env) -> Any:
        return self.binop(node.op, self.eval(node.left, env), self.eval(node.right, env))

    def binop(self, op: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(left, Alternative) or isinstance(right, Alternative):
            return (
                self.split(left, lambda v: self.binop(op, v, right))
                if isinstance(left, Alternative)
                else self.split(right, lambda v: self.binop(op, left, v))
            )
        if isinstance(left, SizeTensor) or isinstance(right, SizeTensor):
            return self.sizes_binop(op, left, right)
        listed = isinstance(left, (list, tuple)) and isinstance(right, (list, tuple, int))
        for many, times in ((left, right), (right, left)):
            if isinstance(many, (list, tuple)) and isinstance(times, Sym) and has_tensors(many):
                raise NeedsConstant(times, "the length of a list of tensors depends on a parameter")
        if (has_tensors(left) or has_tensors(right)) and not listed and not isinstance(left, str):
            return self.tensor_binary(op, left, right)
        for operand in (left, right):
            if isinstance(operand, Unknown):
                return operand
        if isinstance(op, ast.Mod) and isinstance(left, str):
            shown = list(right.values()) if isinstance(right, dict) else right if isinstance(right, tuple) else ()
            unknown = next((v for v in shown if isinstance(v, Unknown)), None)
            if unknown is not None:
                return unknown
        if isinstance(left, Instance):
            method = {ast.Add: "__add__", ast.Mult: "__mul__", ast.Sub: "__sub__", ast.Div: "__truediv__"}.get(type(op))
            if method and left.cls.lookup(method):
                return self.call(Bound(left.cls.lookup(method), left), [right], {})
        left, right = plain(left), plain(right)
        if isinstance(op, ast.Mod) and isinstance(left, str) and is_open(right):
            return Sym(ast.BinOp(to_ast(left), op, to_ast(right)), observe(lambda r: left % r, right))
        repeats = isinstance(op, ast.Mult) and listed and type(right) is int and right <= MAX_REPEATED
        joins = isinstance(op, ast.Add) and all(isinstance(v, (list, tuple, TensorShape)) for v in (left, right))
        if is_huge(op, left, right):
            raise self.declined("K2T005", "a value of this size is not evaluated")
        if repeats and is_open(left) or joins:
            return self.native(OPERATORS[type(op)], [left, right], {})
        if isinstance(left, OPAQUE) or isinstance(right, OPAQUE):
            raise ProgramError(TypeError(f"unsupported operand types: {left!r} and {right!r}"))
        try:
            return binary(op, left, right)
        except (NeedsConstant, NotKept):
            raise
        except Exception as error:
            raise ProgramError(error) from None

    def sizes_binop(self, op: ast.operator, left: Any, right: Any) -> SizeTensor:
        """Arithmetic on sizes, each with its counterpart or with one number."""
        counts = {len(v) for v in (left, right) if isinstance(v, (list, tuple))}
        if len(counts) != 1:
            raise ProgramError(ValueError("sizes of tensors with different ranks"))
        (count,) = counts
        pairs = [list(v) if isinstance(v, (list, tuple)) else [v] * count for v in (left, right)]
        return SizeTensor(self.binop(op, a, b) for a, b in zip(*pairs))

    def tensor_binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        raise self.declined("K2T103", "arithmetic on tensors is not translated here")

    def tensor_unary(self, op: ast.unaryop, value: Value) -> Any:
        raise self.declined("K2T103", "arithmetic on tensors is not translated here")

    def eval_test(self, node: ast.expr, env: Env) -> Any:
        """The truth of an expression."""
        return self.truth(
            self.bool_op(node, env, as_test=True) if isinstance(node, ast.BoolOp) else self.eval(node, env)
        )

    def eval_BoolOp(self, node: ast.BoolOp, env: Env) -> Any:
        return self.bool_op(node, env, as_test=False)

    def bool_op(self, node: ast.BoolOp, env: Env, as_test: bool) -> Any:
        """`a and b`, `a or b`: the operand that decides, of which a test needs the truth only."""
        is_and = isinstance(node.op, ast.And)
        open_parts: list[Any] = []
        value: Any = None
        for operand in node.values:
            nested = as_test and isinstance(operand, ast.BoolOp)
            value = self.bool_op(operand, env, as_test=True) if nested else self.eval(operand, env)  # type: ignore[arg-type]
            test = self.truth(value)
            if isinstance(test, Unknown):
                return test
            if isinstance(test, Sym):
                open_parts.append(value)
            elif bool(test) != is_and:  # decides the result
                if not open_parts:
                    return value
                if as_test:
                    return not is_and
                open_parts.append(value)
                break
        if not open_parts:
            return value
        if value is not open_parts[-1] and not as_test:
            open_parts.append(value)  # the result where nothing before it decides
        if len(open_parts) == 1 and (not as_test or is_and and value is open_parts[-1] or not is_and):
            return open_parts[0]
        try:
            texts = [to_ast(p) for p in open_parts]
        except TypeError:  # an object
            raise NeedsConstant(open_parts[0], f"the value of {ast.unparse(node)}") from None

        def decide(*seen: Any) -> Any:
            for s in seen:
                if bool(s) != is_and:
                    return s
            return seen[-1]

        return Sym(ast.BoolOp(node.op, texts), observe(decide, *open_parts))

    def eval_Compare(self, node: ast.Compare, env: Env) -> Any:
        left = self.eval(node.left, env)
        result: Any = True
        for op, comparator in zip(node.ops, node.comparators):
            right = self.eval(comparator, env)
            outcome = self.compare(op, left, right)
            if len(node.ops) == 1:
                return outcome  # whatever the operands make of it: an array, for arrays
            if isinstance(outcome, (Sym, Unknown)):
                if isinstance(outcome, Unknown):
                    return outcome
                parts = [left, right] if result is True else [result]
                if result is True:
                    result = outcome
                else:
                    result = Sym(
                        ast.BoolOp(ast.And(), [to_ast(parts[0]), outcome.expr]),
                        observe(lambda a, b: a and b, result, outcome),
                    )
            elif isinstance(outcome, Value):
                return outcome
            elif not self.truth(outcome):
                return False
            left = right
        return result

    def compare(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        negated = isinstance(op, (ast.NotEq, ast.IsNot, ast.NotIn))
        if isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
            for a, b in ((left, right), (right, left)):
                if (
                    b is None
                    and isinstance(a, (*OPAQUE, list, tuple, dict, str))
                    and not isinstance(a, (Unknown, Alternative))
                ):
                    return negated
                if isinstance(a, Alternative):
                    return self.split_test(a, lambda v, b=b: self.compare(op, v, b))
        for operand in (left, right):
            if isinstance(operand, Unknown):
                return operand
        if isinstance(left, AutomaticName) or isinstance(right, AutomaticName):
            known = compare_names(op, left, right)
            return Unknown("the number in a name that Keras gives a layer") if known is None else known
        if isinstance(left, TensorShape):
            left = left.dims
        if isinstance(right, TensorShape):
            right = right.dims
        if not isinstance(op, (ast.Is, ast.IsNot)):  # named tuples compare like tuples
            left, right = (tuple(v) if is_record(v) else v for v in (left, right))
        if isinstance(left, ApiValue) and isinstance(right, ApiValue):
            return (left.path == right.path) != negated
        if isinstance(left, Instance) or isinstance(right, Instance):
            outcome = self.compare_instances(op, left, right)
            if outcome is not NotImplemented:
                return outcome
            if not isinstance(op, (ast.Is, ast.IsNot)):
                left, right = left if isinstance(op, (ast.In, ast.NotIn)) else plain(left), plain(right)
        if (isinstance(left, Value) or isinstance(right, Value)) and not isinstance(
            op, (ast.Is, ast.IsNot, ast.In, ast.NotIn)
        ):
            return self.tensor_compare(op, left, right)
        if is_open(left) or is_open(right):
            if isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
                if same(left, right):
                    return not negated
                for a, b in ((left, right), (right, left)):  # a size is never None
                    if b is None and (not isinstance(a, Sym) or isinstance(a.expr, ast.BinOp)):
                        return negated
            witness = observe(COMPARISONS[type(op)], left, right)
            chosen = comparison_of_choice(op, left, right, witness)
            if chosen is not None:
                return chosen
            if type(op) in MIRRORED and not is_open(left):  # `n == 2` rather than `2 == n`
                left, right, op = right, left, MIRRORED[type(op)]()
            try:
                return Sym(ast.Compare(compared_ast(left, right), [op], [compared_ast(right, left)]), witness)
            except TypeError:
                raise NeedsConstant(first_symbol(left if is_open(left) else right)) from None
        try:
            return COMPARISONS[type(op)](left, right)
        except NotKept:
            raise
        except Exception as error:
            raise ProgramError(error) from None

    def compare_instances(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        """A comparison by the program's own method; NotImplemented if it has none."""
        if isinstance(op, (ast.In, ast.NotIn)):
            left, right = right, left
        method = left.cls.lookup(COMPARISON_METHODS.get(type(op), "")) if isinstance(left, Instance) else None
        if method is None and isinstance(op, ast.NotEq) and isinstance(left, Instance):
            method = left.cls.lookup("__eq__")
        if method is None:
            return NotImplemented
        outcome = self.call(Bound(method, left), [right], {})
        if not isinstance(op, ast.NotIn) and not (isinstance(op, ast.NotEq) and method is left.cls.lookup("__eq__")):
            return outcome
        test = self.truth(outcome)
        return (
            Sym(ast.UnaryOp(ast.Not(), test.expr), observe(lambda w: not w, test))
            if isinstance(test, Sym)
            else test if isinstance(test, Unknown) else not test
        )

    def tensor_compare(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        raise self.declined("K2T103", "comparing tensors is not translated")

    def eval_IfExp(self, node: ast.IfExp, env: Env) -> Any:
        test = self.choice(self.eval_test(node.test, env), node, env)
        if isinstance(test, Unknown):
            return test
        if isinstance(test, Sym):
            return self.open_ifexp(test, lambda: self.eval(node.body, env), lambda: self.eval(node.orelse, env))
        return self.eval(node.body if test else node.orelse, env)

    def open_ifexp(self, test: Sym, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        raise NeedsConstant(test)

    def split(self, value: Alternative, use: Callable[[Any], Any]) -> Any:
        raise NeedsConstant(value.test)

    def split_test(self, value: Alternative, use: Callable[[Any], Any]) -> Any:
        then, otherwise = use(value.then), use(value.otherwise)
        if same(then, otherwise):
            return then
        if then is True and otherwise is False:
            return value.test
        if then is False and otherwise is True:
            return Sym(ast.UnaryOp(ast.Not(), value.test.expr), observe(lambda w: not w, value.test))
        raise NeedsConstant(value.test)

    def eval_Attribute(self, node: ast.Attribute, env: Env) -> Any:
        self.stack.append((env.module, node))
        try:
            return self.getattr(self.eval(node.value, env), node.attr)
        finally:
            self.stack.pop()

    def eval_Subscript(self, node: ast.Subscript, env: Env) -> Any:
        value, index = self.eval(node.value, env), self.eval(node.slice, env)
        return self.getitem(value, index)

    def eval_Slice(self, node: ast.Slice, env: Env) -> Any:
        return slice(*(None if p is None else self.eval(p, env) for p in (node.lower, node.upper, node.step)))

    def getitem(self, value: Any, index: Any) -> Any:
        if isinstance(value, Unknown) or isinstance(index, Unknown):
            return value if isinstance(value, Unknown) else index
        if isinstance(value, Alternative):
            return self.split(value, lambda v: self.getitem(v, index))
        if isinstance(value, Value):
            return self.tensor_getitem(value, index)
        if isinstance(value, TensorShape):
            found = self.native(lambda dims, i: dims[i], [value.dims, index], {})
            return found if isinstance(index, int) else TensorShape(found)
        if isinstance(value, (ApiValue, type)) or any(value is m for m in natives.MODULES.values()):
            return value  # a subscripted type annotation
        if isinstance(value, Module):
            return Unknown(f"an item of {value!r}")
        if isinstance(value, Instance):
            method = value.cls.lookup("__getitem__")
            if method:
                return self.call(Bound(method, value), [index], {})
            if value.native is MISSING:
                return Unknown(f"an item of {value!r}")
            value = value.native
        if is_open(index) or isinstance(value, Sym):
            if has_tensors(value) or isinstance(value, OPAQUE):
                raise NeedsConstant(index)
            if self.in_try:
                raise NeedsConstant(first_open([value, index]), "whether this raises decides what follows")
            if isinstance(index, slice) or not isinstance(value, Sym):
                return self.open_item(value, index)
            return value[index]
        return self.native(lambda v, i: v[i], [value, index], {})

    def open_item(self, value: Any, index: Any) -> Any:
        try:
            items = repeated(value) or to_ast(value)
            return Sym(ast.Subscript(items, to_ast(index), ast.Load()), observe(lambda v, i: v[i], value, index))
        except TypeError:
            raise NeedsConstant(index if isinstance(index, Sym) else value) from None

    def tensor_getitem(self, value: Value, index: Any) -> Any:
        raise self.declined("K2T103", "indexing tensors is not translated yet")

    def comprehension(self, node: Any, env: Env, emit: Callable[[Env], None]) -> Unknown | None:
        """Calls `emit` for each item; what makes the items unknown if they are, for which it is called once."""
        unknown: list[Unknown] = []

        def run(generators: list[ast.comprehension], scope: Env) -> None:
            if not generators:
                emit(scope)
                return
            first, *rest = generators
            items = self.eval(first.iter, scope)
            if isinstance(items, Unknown):
                unknown.append(items)
                items = [Unknown(items.reason)]
            for item in self.iterate(items):
                self.tick()
                self.assign(first.target, item, scope)
                tests = [self.eval_test(c, scope) for c in first.ifs]
                for t in tests:
                    if isinstance(t, Sym):
                        raise NeedsConstant(t)
                unknown.extend(t for t in tests if isinstance(t, Unknown))
                if all(isinstance(t, Unknown) or bool(t) for t in tests):
                    run(rest, scope)

        run(node.generators, Env(env, "comprehension", env.module))
        return Unknown(unknown[0].reason) if unknown else None

    def eval_ListComp(self, node: ast.ListComp, env: Env) -> Any:
        result: list[Any] = []
        unknown = self.comprehension(node, env, lambda scope: result.append(self.eval(node.elt, scope)))
        return unknown or result

    eval_GeneratorExp = eval_ListComp

    def eval_SetComp(self, node: ast.SetComp, env: Env) -> Any:
        items = self.eval_ListComp(node, env)  # type: ignore[arg-type]
        return items if isinstance(items, Unknown) else set(items)

    def eval_DictComp(self, node: ast.DictComp, env: Env) -> Any:
        result: dict[Any, Any] = {}

        def add(scope: Env) -> None:
            key, value = self.eval(node.key, scope), self.eval(node.value, scope)
            if not isinstance(key, Unknown):
                result[key] = value

        return self.comprehension(node, env, add) or result

    def iterate(self, value: Any) -> Iterable[Any]:
        if isinstance(value, Sym):
            raise NeedsConstant(value)
        if isinstance(value, Unknown):
            raise self.declined("K2T201", f"this cannot be iterated over: {value.reason}")
        if isinstance(value, Alternative):
            raise NeedsConstant(value.test, "what is iterated over depends on a parameter")
        if isinstance(value, TensorShape):
            return value.dims
        if isinstance(value, Instance):
            method = value.cls.lookup("__iter__")
            if method:
                return self.iterate(self.call(Bound(method, value), [], {}))
            if value.native is not MISSING:
                return self.iterate(value.native)
            if value.cls.lookup("__getitem__"):
                return self.items_of(value)
        if isinstance(value, OPAQUE):
            return self.iterate_opaque(value)
        try:
            items = list(itertools.islice(value, MAX_ITEMS + 1))
        except (NeedsConstant, NotKept):
            raise
        except Exception as error:
            raise ProgramError(error) from None
        if len(items) > MAX_ITEMS:
            raise self.declined("K2T005", f"a loop over more than {MAX_ITEMS} items is not evaluated")
        return items

    def items_of(self, value: Instance) -> list[Any]:
        """What an object with `__getitem__` alone yields: its items from 0 on, until there is none."""
        found: list[Any] = []
        while True:
            self.tick()
            try:
                found.append(self.getitem(value, len(found)))
            except ProgramError as error:
                if isinstance(error.value, IndexError):
                    return found
                raise

    def iterate_opaque(self, value: Any) -> Iterable[Any]:
        raise ProgramError(TypeError(f"{value!r} is not iterable"))

    def truth(self, value: Any) -> Any:
        """True or False, or the `Sym` or `Unknown` that keeps it open."""
        if isinstance(value, (Sym, Unknown)):
            return value
        if isinstance(value, Alternative):
            return self.split_test(value, lambda v: self.truth(v))
        if isinstance(value, Value):
            return self.tensor_truth(value)
        if isinstance(value, Instance):
            method = value.cls.lookup("__bool__") or value.cls.lookup("__len__")
            if method is None:
                return True if value.native is MISSING else bool(value.native)
            return self.truth(self.call(Bound(method, value), [], {}))
        try:
            return bool(value) if not isinstance(value, OPAQUE) else True
        except ValueError as error:  # the truth of an array
            raise ProgramError(error) from None

    def tensor_truth(self, value: Value) -> Any:
        raise self.declined("K2T103", "a tensor decides a branch here", "Rewrite it with tf.where or keras.ops.where.")


def _as_is(value: Any) -> Any:
    return value


MAX_REPEATED = 4
"""How often an open item is repeated so that the list is written out: once for each axis."""

CONVERSIONS: dict[int, Callable[[Any], Any]] = {115: str, 114: repr, 97: ascii}
"""`!s`, `!r` and `!a` in an f-string."""
