"""Static expressions: values that the generated code computes, with the value seen during conversion.

A value of the program being converted is either a plain Python value (it is known and may be written as a
literal) or a `Sym`: an expression over names of the generated code, with a `witness`, the value that this
expression had for the arguments the conversion looked at. Arithmetic works on both alike, so that one shape rule
serves concrete and symbolic sizes.
"""

from __future__ import annotations

import ast
import copy
import functools
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from transpiler.ir.trees import nodes, variables_in


class Missing:
    """The witness of an expression whose value could not be observed."""

    def __repr__(self) -> str:
        return "<not observed>"

    def __bool__(self) -> bool:
        return False


MISSING = Missing()


class NeedsConstant(Exception):
    """A decision needs the value of an expression that the generated code keeps open.

    The stager reacts by freezing the parameters in `sym`, or by falling back to a lower tier.
    """

    def __init__(self, sym: Sym, why: str = "") -> None:
        super().__init__(why or f"the value of {sym} decides the structure")
        self.sym = sym
        self.place: Any = None
        """The layer in the source, if it can be translated for every value of an argument."""

    def about(self, sym: Sym) -> NeedsConstant:
        """The same in the names of what is around: the value it needs is that of `sym` there."""
        found = NeedsConstant(sym, str(self))
        found.place = self.place
        return found


@dataclass(frozen=True, eq=False)
class Sym:
    """An expression of the generated code (`expr`) and the value it was seen to have (`witness`)."""

    expr: ast.expr
    witness: Any = MISSING
    integer: bool = False
    """Surely an int, whatever the arguments: the size of an axis, or arithmetic on such."""
    among: frozenset[Any] = frozenset()
    """Of an item at an open index: all that the items were seen to be, if that is known."""
    possible: frozenset[Any] = frozenset()
    """Of a choice between constants: all that it can be, whatever the arguments."""

    @staticmethod
    def name(name: str, witness: Any = MISSING, integer: bool = False) -> Sym:
        return Sym(ast.Name(name, ast.Load()), witness, integer)

    @staticmethod
    def parse(code: str, witness: Any = MISSING, integer: bool = False) -> Sym:
        return Sym(ast.parse(code, mode="eval").body, witness, integer)

    @functools.cached_property
    def code(self) -> str:
        return self.expr.id if type(self.expr) is ast.Name else ast.unparse(self.expr)

    def names(self) -> frozenset[str]:
        """The names of the generated code this expression reads."""
        return self._names

    @functools.cached_property
    def _names(self) -> frozenset[str]:
        called = {n.func.id for n in nodes(self.expr) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        return frozenset(variables_in(self.expr)) - called

    @functools.cached_property
    def free_names(self) -> frozenset[str]:
        """The names that the expression reads and does not bind itself, in a comprehension."""
        bound: set[str] = set()
        for node in nodes(self.expr):
            if isinstance(node, ast.comprehension):
                bound |= variables_in(node.target)
        return self._names - bound if bound else self._names

    def __repr__(self) -> str:
        return self.code

    def __bool__(self) -> bool:
        raise NeedsConstant(self)

    def __index__(self) -> int:
        raise NeedsConstant(self)

    def __iter__(self) -> Iterator[Any]:
        raise NeedsConstant(self)

    def __add__(self, other: Any) -> Any:
        return binary(ast.Add(), self, other)

    def __radd__(self, other: Any) -> Any:
        return binary(ast.Add(), other, self)

    def __sub__(self, other: Any) -> Any:
        return binary(ast.Sub(), self, other)

    def __rsub__(self, other: Any) -> Any:
        return binary(ast.Sub(), other, self)

    def __mul__(self, other: Any) -> Any:
        return binary(ast.Mult(), self, other)

    def __rmul__(self, other: Any) -> Any:
        return binary(ast.Mult(), other, self)

    def __floordiv__(self, other: Any) -> Any:
        return binary(ast.FloorDiv(), self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return binary(ast.FloorDiv(), other, self)

    def __getitem__(self, index: Any) -> Sym:
        item = Sym(ast.Subscript(self.expr, to_ast(index), ast.Load()), observe(lambda w, i: w[i], self, index))
        items = observe(frozenset, self) if isinstance(index, Sym) else MISSING
        return replace(item, among=items) if items is not MISSING else item


OPERATORS: dict[type, Any] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: a**b,
    ast.LShift: lambda a, b: a << b,
    ast.RShift: lambda a, b: a >> b,
    ast.BitAnd: lambda a, b: a & b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitXor: lambda a, b: a ^ b,
    ast.MatMult: lambda a, b: a @ b,
}


def either(a: Any, b: Any) -> frozenset[Any]:
    """All that a choice between two values can be; empty if that is not known."""
    parts = [
        v.possible if isinstance(v, Sym) else frozenset((v,)) if isinstance(v, str) else frozenset() for v in (a, b)
    ]
    return parts[0] | parts[1] if all(parts) else frozenset()


def witness_of_choice(test: Sym, a: Any, b: Any) -> Any:
    """What `a if test else b` was seen to be; the side that was not taken need not have been seen."""
    return MISSING if test.witness is MISSING else witness_of(a if test.witness else b)


def is_record(value: Any) -> bool:
    """Whether a value is a named tuple."""
    return isinstance(value, tuple) and hasattr(value, "_fields")


def rebuilt(value: Any, items: Iterable[Any]) -> Any:
    """A list, tuple, set or named tuple like `value` with other items."""
    return type(value)(*items) if is_record(value) else type(value)(items)


def witness_of(value: Any) -> Any:
    """The observed value of `value`, looking inside containers; `MISSING` if any part was not observed."""
    if isinstance(value, Sym):
        return value.witness
    if type(value) in (tuple, list, set) or is_record(value):
        parts = [witness_of(v) for v in value]
        return MISSING if any(p is MISSING for p in parts) else rebuilt(value, parts)
    if type(value) is dict:
        parts = {k: witness_of(v) for k, v in value.items()}
        return MISSING if any(p is MISSING for p in parts.values()) else parts
    return value


def observe(function: Any, *operands: Any) -> Any:
    """`function` applied to the witnesses of `operands`; `MISSING` if that cannot be done."""
    seen = [witness_of(o) for o in operands]
    if any(s is MISSING for s in seen):
        return MISSING
    try:
        return function(*seen)
    except Exception:  # the witness need not fit: it only informs
        return MISSING


def is_open(value: Any) -> bool:
    """Whether `value` contains an expression that is not a known constant."""
    if isinstance(value, Sym):
        return True
    if type(value) in (tuple, list, set) or is_record(value):
        return any(is_open(v) for v in value)
    if type(value) is dict:
        return any(is_open(v) for pair in value.items() for v in pair)
    return False


def first_symbol(value: Any) -> Sym:
    """The first expression that is not a known constant inside a value that has one."""
    if isinstance(value, Sym):
        return value
    items = value.values() if isinstance(value, dict) else value
    return next(first_symbol(v) for v in items if is_open(v))


def constant(value: Any, why: str = "") -> Any:
    """`value` if it is known; raises `NeedsConstant` otherwise."""
    if isinstance(value, Sym):
        raise NeedsConstant(value, why)
    if type(value) in (tuple, list) or is_record(value):
        for item in value:
            constant(item, why)
    return value


def binary(op: ast.operator, left: Any, right: Any) -> Any:
    """`left op right`, simplified where integers allow it."""
    if not isinstance(left, Sym) and not isinstance(right, Sym) and not is_open(left) and not is_open(right):
        return OPERATORS[type(op)](left, right)
    simple = _simplify(op, left, right)
    if simple is not None:
        return simple
    whole = isinstance(op, (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv)) and surely_int(left) and surely_int(right)
    return Sym(ast.BinOp(to_ast(left), op, to_ast(right)), observe(OPERATORS[type(op)], left, right), whole)


def surely_int(value: Any) -> bool:
    """Whether a value is an int in every run."""
    return value.integer if isinstance(value, Sym) else _is_int(value)


def _is_int(value: Any) -> bool:
    return type(value) is int


def _const_tail(value: Any, op: type) -> tuple[ast.expr, int] | None:
    """`e` and `c` for an expression `e op c` with an integer constant at the end."""
    if isinstance(value, Sym) and isinstance(value.expr, ast.BinOp) and isinstance(value.expr.op, op):
        right = value.expr.right
        if isinstance(right, ast.Constant) and type(right.value) is int:
            return value.expr.left, right.value
    return None


def _simplify(op: ast.operator, left: Any, right: Any) -> Any | None:
    kind = type(op)
    if kind in (ast.Add, ast.Sub) and _is_int(right):
        if right == 0 and type(witness_of(left)) is int:
            return left
        if right < 0:
            return binary(ast.Sub() if kind is ast.Add else ast.Add(), left, -right)
        for inner, sign in ((ast.Add, 1), (ast.Sub, -1)):
            tail = _const_tail(left, inner)
            if tail:
                total = sign * tail[1] + (right if kind is ast.Add else -right)
                offset = sign * tail[1]
                base = Sym(tail[0], observe(lambda w, offset=offset: w - offset, left), surely_int(left))
                return base if total == 0 else binary(ast.Add(), base, total)
    if kind is ast.Add and _is_int(left) and left == 0 and type(witness_of(right)) is int:
        return right
    if kind is ast.Add and isinstance(left, Sym) and isinstance(right, Sym) and surely_int(left) and surely_int(right):
        if same(left, right):
            return left * 2
        tail = _const_tail(left, ast.Mult)
        if tail and ast.dump(tail[0]) == ast.dump(right.expr):
            return right * (tail[1] + 1)
    if kind is ast.Mult and 0 in (left, right) and _is_int(witness_of(left)) and _is_int(witness_of(right)):
        return 0
    if kind in (ast.Mult, ast.FloorDiv) and _is_int(right) and right == 1 and type(witness_of(left)) is int:
        return left
    if kind is ast.Mult and _is_int(left) and left == 1:
        return right
    if kind is ast.FloorDiv and _is_int(right) and right > 0:
        tail = _const_tail(left, ast.FloorDiv)
        if tail and tail[1] > 0:  # (a // b) // c == a // (b * c)
            return Sym(
                ast.BinOp(tail[0], ast.FloorDiv(), ast.Constant(tail[1] * right)),
                observe(lambda w: w // right, left),
                surely_int(left),
            )
    if kind is ast.Sub and isinstance(left, Sym) and isinstance(right, Sym) and same(left, right):
        return 0
    if kind is ast.Sub and _is_int(left) and left == 0:
        return Sym(ast.UnaryOp(ast.USub(), right.expr), observe(lambda w: -w, right), surely_int(right))
    return None


def same(a: Any, b: Any) -> bool:
    """Whether two values are surely equal in every run: equal constants, or the same expression."""
    if isinstance(a, Sym) or isinstance(b, Sym):
        return isinstance(a, Sym) and isinstance(b, Sym) and (a is b or ast.dump(a.expr) == ast.dump(b.expr))
    if type(a) in (tuple, list) and type(a) is type(b):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


def ceil_div(a: Any, b: Any) -> Any:
    """⌈a / b⌉ for a positive `b`."""
    if type(b) is int and b == 1:
        return a
    return (a + (b - 1)) // b if _is_int(b) else (a + b - 1) // b


def format_float(value: float) -> str:
    """A float as a person writes it: 0.5, 1e-3, 1.001e-5."""
    text = repr(value)
    if value and abs(value) < 0.01 and value == value:
        for digits in range(17):
            mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
            if float(f"{mantissa}e{exponent}") == value:
                return f"{mantissa}e{int(exponent)}"
    return text


class ArrayExample:
    """What stands for an array of the program's data in the conversion: zeros in its shape, once that is known."""

    def __init__(self, shape: tuple[int, ...] | None = None) -> None:
        self.shape = shape

    def __deepcopy__(self, memo: dict[int, Any]) -> ArrayExample:
        return self

    @property
    def code(self) -> str:
        return "0.0" if self.shape is None else f"__import__('numpy').zeros({self.shape})"


def to_ast(value: Any) -> ast.expr:
    """The expression that writes `value` in the generated code.

    Raises TypeError for a value that has no literal form.
    """
    if isinstance(value, Sym):
        return value.expr
    if isinstance(value, ast.expr):
        return value
    if isinstance(value, bool) or value is None or value is Ellipsis or isinstance(value, (str, bytes)):
        return ast.Constant(value)
    if isinstance(value, (int, float)):
        if value != value or value in (float("inf"), float("-inf")):
            return ast.Call(ast.Name("float", ast.Load()), [ast.Constant(str(value))], [])
        if value < 0:
            return ast.UnaryOp(ast.USub(), to_ast(-value))
        if isinstance(value, float):  # an identifier prints as it stands
            return ast.Name(format_float(float(value)), ast.Load())
        return ast.Constant(int(value))
    if isinstance(value, tuple) and not is_record(value):
        return ast.Tuple([to_ast(v) for v in value], ast.Load())
    if isinstance(value, list):
        return ast.List([to_ast(v) for v in value], ast.Load())
    if isinstance(value, slice):
        parts = [None if p is None else to_ast(p) for p in (value.start, value.stop, value.step)]
        return ast.Slice(*parts)
    if isinstance(value, set):
        return ast.Set([to_ast(v) for v in sorted(value, key=_order)])
    if isinstance(value, range):
        parts = [value.start, value.stop, value.step]
        parts = parts if value.step != 1 else parts[:2]
        parts = parts[1:] if len(parts) == 2 and value.start == 0 else parts
        return ast.Call(ast.Name("range", ast.Load()), [to_ast(p) for p in parts], [])
    if isinstance(value, dict):
        return ast.Dict([to_ast(k) for k in value], [to_ast(v) for v in value.values()])
    if isinstance(value, ArrayExample):
        return ast.parse(value.code, mode="eval").body
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as a literal")


def _order(item: Any) -> tuple[Any, ...]:
    return (0, item, "") if isinstance(item, (int, float)) else (1, 0, repr(item))


def code_of(value: Any) -> str:
    """The text that writes `value` in the generated code."""
    kind = type(value)
    if kind in (str, bytes, bool, int, type(None)):
        return repr(value)
    if kind is Sym:
        return value.code
    if kind is float and value == value and 0 <= value < float("inf"):
        return format_float(value)
    if kind is tuple:
        return f"({', '.join(map(code_of, value))}{',' * (len(value) == 1)})"
    if kind is list:
        return f"[{', '.join(map(code_of, value))}]"
    return ast.unparse(to_ast(value))


FOLDED = (
    ast.Constant, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Tuple, ast.List, ast.Subscript, ast.operator,
    ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip


def constant_value(node: ast.expr) -> Any:
    """The value of an expression of constants; MISSING if it is anything else."""
    if not all(isinstance(n, FOLDED) for n in nodes(node)):
        return MISSING
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # `3 is None`, once a value is filled in
            code = compile(ast.fix_missing_locations(ast.Expression(copy.deepcopy(node))), "<constant>", "eval")
        return eval(code, {"__builtins__": {}})  # noqa: S307 - literals and operators only
    except Exception:
        return MISSING
