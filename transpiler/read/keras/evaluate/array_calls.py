"""numpy in the program: arrays are kept as the code that makes them, for the constructor of the generated class to run."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.ir.expr import Sym, is_open
from transpiler.ir.model import Lowering, Step
from transpiler.ir.shape import TensorType
from transpiler.read.keras.evaluate import natives, numbers
from transpiler.read.keras.evaluate.array_shapes import (
    DRAWS,
    GENERATORS,
    METHODS,
    SHAPES,
    VIEWS,
    NotShaped,
    drawn,
    dtype_in,
    made,
    made_by_method,
    promote,
    shape_in,
)
from transpiler.read.keras.evaluate.arrays import (
    ArrayFunction,
    ArrayList,
    ArrayMethod,
    NumpyArray,
    RandomSource,
    has_arrays,
    not_known,
    plain_code,
)
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.values import Env, TensorShape, Unknown, has_tensors
from transpiler.rules.ops.base import broadcast, is_float

NP = ast.Name("np", ast.Load())


class ArrayCalls:
    """The part of the interpreter that knows arrays of numpy."""

    array_changes: dict[str, int]
    """How often the array in a variable of a constructor was changed."""

    # --- making arrays -----------------------------------------------------------------------------------------------

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(function, ArrayFunction):
            return self.call_numpy(function, args, kwargs)
        if isinstance(function, ArrayMethod):
            if isinstance(function.receiver, RandomSource):
                return self.draw(function.receiver, function.name, args, kwargs)
            return self.call_array_method(function.receiver, function.name, args, kwargs)
        return super().call(function, args, kwargs)  # type: ignore[misc]

    def call_real(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        given = [*args, *kwargs.values()]
        plain = function in (isinstance, callable, hasattr, list, tuple, zip, enumerate)
        if has_arrays(given) and not natives.puts(function) and (not plain or isinstance(args[0], NumpyArray)):
            return not_known(given, f"{function.__name__}() of an array of numpy is not evaluated")
        return super().call_real(function, args, kwargs)  # type: ignore[misc]

    def length(self, value: Any) -> Any:
        if not isinstance(value, NumpyArray):
            return super().length(value)  # type: ignore[misc]
        known = value.shape[0] if value.shape else None
        return not_known(value, "the length of an array of numpy is not evaluated") if known is None else known

    def call_numpy(self, function: ArrayFunction, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A function of numpy: of known numbers what it gives, else an array."""
        args = [a.dims if isinstance(a, TensorShape) else a for a in args]
        given = [*args, *kwargs.values()]
        unknown = next((v for v in given if isinstance(v, Unknown)), None)
        if unknown is not None or has_tensors(given):
            plain = function.plain or (lambda *a, **k: numbers.not_evaluated(function.name))
            return unknown or super().call(plain, args, kwargs)  # type: ignore[misc]
        if function.plain is not None and not has_arrays(given):
            scalar = not is_open(given) or getattr(function.plain, "written", "")
            found = super().call(function.plain, args, kwargs) if scalar else None  # type: ignore[misc]
            if found is not None and not isinstance(found, Unknown):
                if isinstance(found, numbers.Array):
                    found.code = self.call_code(function.name, args, kwargs)
                return found
        if function.name == "meshgrid":
            return self.meshgrid(args, kwargs)
        try:
            shape, dtype = made(function.name, args, kwargs)
        except NotShaped:
            return not_known(given, f"numpy.{function.name} is not evaluated")
        if not shape and not has_arrays(given):
            return not_known(given, f"numpy.{function.name} of these numbers is not evaluated")
        result = self.new_array(self.call_code(function.name, args, kwargs), shape, dtype, given)
        return self.view_of(result, args[0]) if function.name in VIEWS and args else result

    def call_code(self, name: str, args: list[Any], kwargs: dict[str, Any], owner: ast.expr = NP) -> ast.expr:
        function = ast.Attribute(owner, name, ast.Load())
        keywords = [ast.keyword(k, self.array_code(v)) for k, v in kwargs.items()]
        return ast.Call(function, [self.array_code(a) for a in args], keywords)

    def meshgrid(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        try:
            sizes = [size for (size,) in map(shape_in, args)]
        except (NotShaped, ValueError):
            return not_known(args, "numpy.meshgrid of these arrays is not evaluated")
        if set(kwargs) - {"indexing"} or kwargs.get("indexing", "xy") not in ("xy", "ij"):
            return not_known(args, "numpy.meshgrid with these arguments is not evaluated")
        if kwargs.get("indexing", "xy") == "xy":
            sizes[:2] = sizes[1::-1]
        code = self.call_code("meshgrid", args, kwargs)
        parts = [ast.Subscript(code, ast.Constant(i), ast.Load()) for i in range(len(args))]
        grids = ArrayList(self.new_array(p, tuple(sizes), dtype_in(a), args) for p, a in zip(parts, args))
        grids.code, grids.home = code, self.home
        return grids

    def new_array(self, code: ast.expr, shape: tuple[Any, ...], dtype: str, made_of: Any) -> NumpyArray:
        reads: dict[str, int] = {}
        todo, decides, changed = [made_of], None, False
        while todo:
            value = todo.pop()
            if isinstance(value, (list, tuple)):
                todo.extend(value)
            elif isinstance(value, slice):
                todo.extend((value.start, value.stop, value.step))
            elif isinstance(value, NumpyArray):
                names = {value.root or value.variable} if value.variable else set(value.reads)
                reads |= {name: self.array_changes.get(name, 0) for name in names}
                decides = value.decides if decides is None else decides
                changed = changed or value.changed
            elif isinstance(value, Sym):
                decides = value
        return NumpyArray(code, shape, dtype, self.home, reads=reads, decides=decides, changed=changed)

    def view_of(self, result: NumpyArray, owner: Any) -> NumpyArray:
        result.root = owner.root or owner.variable if isinstance(owner, NumpyArray) else ""
        return result

    def array_code(self, value: Any) -> ast.expr:
        """The expression that writes an argument with arrays in it, in the names of the class under construction."""
        if isinstance(value, ArrayList):
            return value.code
        if isinstance(value, NumpyArray):
            return self.array_here(value)
        if isinstance(value, slice):
            return ast.Slice(
                *(None if p is None else self.array_code(p) for p in (value.start, value.stop, value.step))
            )
        if has_arrays(value) and isinstance(value, (list, tuple)):
            kind = ast.List if isinstance(value, list) else ast.Tuple
            return kind([self.array_code(v) for v in value], ast.Load())
        if isinstance(value, tuple) and any(isinstance(v, numbers.Array) for v in value):
            return ast.Tuple([self.array_code(v) for v in value], ast.Load())
        try:
            return plain_code(value)
        except TypeError:
            raise self.declined("K2T201", f"{value!r} among the arguments of numpy is not evaluated") from None

    def array_here(self, x: NumpyArray) -> ast.expr:
        """An array as an expression over the names of the class under construction."""
        if x.changed and self.home is not None:
            raise self.declined("K2T203", "an array that is changed around the model's code is not evaluated")
        if not x.variable and any(self.array_changes.get(n, 0) != seen for n, seen in x.reads.items()):
            raise self.declined("K2T203", "an array that changes after something was computed from it is not evaluated")
        if x.home is not self.home:
            return self.array_from(x)
        return x.code

    def array_from(self, x: NumpyArray) -> ast.expr:
        """An array that was made around the class under construction."""
        return x.code

    def keep_array(self, x: Any, name: str) -> None:
        """Gives an array a variable of the constructor."""

    # --- random numbers ----------------------------------------------------------------------------------------------

    def draw(self, source: RandomSource, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        given = [*args, *kwargs.values()]
        if not source.made and name in GENERATORS and not has_arrays(given) and not has_tensors(given):
            if any(isinstance(v, Unknown) for v in given):
                return numbers.not_evaluated(f"random.{name}")
            return RandomSource(self.call_code(name, args, kwargs, source.code), self.home, True)
        if source.made and source.home is None and self.keeps_around():
            return Unknown("numbers of a generator that the program may draw from elsewhere")
        try:
            shape, dtype = drawn(name, args, kwargs)
        except NotShaped:
            return not_known(given, f"numpy.random.{name} is not evaluated")
        result = self.new_array(self.call_code(name, args, kwargs, self.source_here(source)), shape, dtype, given)
        self.keep_array(result, name)  # drawn here and once
        result.changed = result.changed or self.home is None
        return result

    def keeps_around(self) -> bool:
        """Whether the result has the statements around those that make a model, as a script has."""
        return False

    def source_here(self, source: RandomSource) -> ast.expr:
        return source.code

    # --- what arrays do ----------------------------------------------------------------------------------------------

    def getattr(self, value: Any, name: str) -> Any:
        if isinstance(value, numbers.Numpy):
            if name == "random":
                return RandomSource(ast.Attribute(NP, "random", ast.Load()))
            if name in SHAPES or name == "meshgrid":
                plain = numbers.FUNCTIONS.get(name) or getattr(numbers.Numpy, name, None)
                return ArrayFunction(name, plain, self.call)
        if isinstance(value, RandomSource):
            known = name in (*DRAWS, "permutation", "rand", "randn") or not value.made and name in GENERATORS
            return ArrayMethod(name, value) if known else Unknown(f"numpy.random.{name} is not evaluated")
        if isinstance(value, NumpyArray):
            return self.array_attribute(value, name)
        if isinstance(value, numbers.Array) and not hasattr(value, name) and name in (*METHODS, *VIEWS, "T"):
            return self.array_attribute(self.array_of(value), name)
        return super().getattr(value, name)  # type: ignore[misc]

    def array_of(self, known: numbers.Array) -> NumpyArray:
        """Known numbers as an array: what is made of them here is no list of numbers any more."""
        code = known.code or self.call_code("array", [list(known)], {})
        return NumpyArray(code, (len(known),), dtype_in(known), self.home)

    def array_attribute(self, x: NumpyArray, name: str) -> Any:
        if name in ("shape", "ndim", "dtype", "size"):
            if name == "shape" and None in x.shape or name == "size":
                return not_known(x, f"the {name} of this array is not known")
            return {"shape": x.shape, "ndim": len(x.shape), "dtype": x.dtype}[name]
        if name == "T":
            code = ast.Attribute(self.array_here(x), "T", ast.Load())
            return self.view_of(self.new_array(code, x.shape[::-1], x.dtype, [x]), x)
        return ArrayMethod(name, x)

    def call_array_method(self, x: NumpyArray, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        given = [x, *args, *kwargs.values()]
        if any(isinstance(v, Unknown) for v in given) or has_tensors(given):
            return Unknown(f"{name}() of an array of numpy")
        if name == "tolist" and not args:
            return x  # as good as a list wherever arrays are taken
        try:
            result = made_by_method(name, x, args, kwargs)
        except NotShaped:
            return not_known(given, f"{name}() of an array of numpy is not evaluated")
        array = self.new_array(self.call_code(name, args, kwargs, self.array_here(x)), *result, given)
        return self.view_of(array, x) if name in VIEWS else array

    def binop(self, op: ast.operator, left: Any, right: Any) -> Any:
        if self.among_arrays(left, right):
            floats = isinstance(op, ast.Div)
            return self.array_operator(lambda a, b: ast.BinOp(a, op, b), left, right, "float64" if floats else None)
        result = super().binop(op, left, right)  # type: ignore[misc]
        return self.with_code(result, left, right, lambda a, b: ast.BinOp(a, op, b))

    def compare(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        if self.among_arrays(left, right) and not isinstance(op, (ast.Is, ast.IsNot, ast.In, ast.NotIn)):
            return self.array_operator(lambda a, b: ast.Compare(a, [op], [b]), left, right, "bool")
        if isinstance(left, NumpyArray) or isinstance(right, NumpyArray):
            if isinstance(op, (ast.Is, ast.IsNot)):
                return (left is right) == isinstance(op, ast.Is)
            return not_known([left, right], "a comparison of arrays is not evaluated")
        result = super().compare(op, left, right)  # type: ignore[misc]
        return self.with_code(result, left, right, lambda a, b: ast.Compare(a, [op], [b]))

    def among_arrays(self, left: Any, right: Any) -> bool:
        arrays = isinstance(left, NumpyArray) or isinstance(right, NumpyArray)
        return arrays and all(isinstance(v, (NumpyArray, int, float, Sym, list, tuple)) and not has_tensors(v) for v in (left, right))  # fmt: skip

    def array_operator(self, write: Any, left: Any, right: Any, dtype: str | None) -> Any:
        try:
            shape = broadcast([shape_in(left), shape_in(right)])
            kind = promote(left, right)
        except NotShaped:
            return not_known([left, right], "arithmetic on these arrays is not evaluated")
        kind = kind if dtype is None or dtype == "float64" and is_float(kind) else dtype
        return self.new_array(write(self.array_code(left), self.array_code(right)), shape, kind, [left, right])

    def with_code(self, result: Any, left: Any, right: Any, write: Any) -> Any:
        """What is computed from known arrays has their code."""
        if isinstance(result, numbers.Array):
            sides = [v for v in (left, right) if isinstance(v, numbers.Array)]
            if sides and all(s.code is not None for s in sides):
                result.code = write(plain_code(left), plain_code(right))
        return result

    def unary(self, op: ast.unaryop, value: Any) -> Any:
        if isinstance(value, NumpyArray):
            return self.new_array(ast.UnaryOp(op, self.array_here(value)), value.shape, value.dtype, [value])
        return super().unary(op, value)  # type: ignore[misc]

    def truth(self, value: Any) -> Any:
        if isinstance(value, (NumpyArray, RandomSource)):
            return not_known(value, "the truth of an array is not evaluated")
        return super().truth(value)  # type: ignore[misc]

    def iterate(self, value: Any) -> Any:
        if isinstance(value, NumpyArray):
            if value.shape and type(value.shape[0]) is int and len(value.shape) > 1:
                return [self.getitem(value, i) for i in range(value.shape[0])]
            unknown = not_known(value, "the numbers of this array are not evaluated")
            raise self.declined("K2T201", unknown.reason)
        return super().iterate(value)  # type: ignore[misc]

    def unpack(self, target: Any, value: Any, env: Env) -> None:
        if isinstance(value, NumpyArray) and len(value.shape) == 1:
            value = not_known(value, "the numbers of this array are not evaluated")
        super().unpack(target, value, env)  # type: ignore[misc]

    # --- arrays among tensors ----------------------------------------------------------------------------------------

    def array_tensor(self, x: NumpyArray) -> Constant:
        """The tensor that an array becomes where tensors meet it."""
        if None in x.shape:
            unknown = not_known(x, "the shape of this array is not known")
            raise self.declined("K2T201", unknown.reason)
        floats = is_float(x.dtype)
        text = ast.unparse(self.array_here(x))
        text = f"torch.tensor({text}{', dtype=torch.get_default_dtype()' if floats else ''})"
        kind = TensorType(x.shape, "float32" if floats else x.dtype)
        return self.make_constant(Lowering([Step(fn=text)], [kind]), None)

    def as_tensors(self, value: Any, several: bool) -> Any:
        return self.array_tensor(value) if isinstance(value, NumpyArray) else super().as_tensors(value, several)  # type: ignore[misc]

    def call_op(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return super().call_op(path, *self.with_tensors(args, kwargs))  # type: ignore[misc]

    def make_layer(self, rule: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        def known(value: Any) -> Any:
            return not_known(value, "the numbers of an array are needed") if isinstance(value, NumpyArray) else value

        return super().make_layer(rule, [known(a) for a in args], {k: known(v) for k, v in kwargs.items()})  # type: ignore[misc]

    def call_layer(self, layer: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return super().call_layer(layer, *self.with_tensors(args, kwargs))  # type: ignore[misc]

    def with_tensors(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a function or layer, with tensors for the arrays among them."""

        def tensor(value: Any) -> Any:
            if isinstance(value, NumpyArray):
                return self.array_tensor(value)
            return [tensor(v) for v in value] if isinstance(value, (list, tuple)) and has_arrays(value) else value

        return [tensor(a) for a in args], {k: tensor(v) for k, v in kwargs.items()}
