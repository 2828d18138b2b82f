"""Functions that call functions of the program on tensors: over the items of an axis, a number of times, or one of several.

They are loops and choices of Python, given as the source that a person would have written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transpiler.ir.model import ApiValue
from transpiler.ir.program import Value
from transpiler.read.keras.evaluate.values import Env, SizeTensor, Unknown
from transpiler.read.keras.parse import parse

SOURCES = {
    "map_fn": """
def map_fn(fn, elems, *args, **kwargs):
    return STACK([fn(ITEM(elems, i)) for i in range(LENGTH(elems))])
""",
    "map": """
def map(f, xs):
    return STACK([f(ITEM(xs, i)) for i in range(LENGTH(xs))])
""",
    "vectorized_map": """
def vectorized_map(function, elements, *args, **kwargs):
    return STACK([function(ITEM(elements, i)) for i in range(LENGTH(elements))])
""",
    "foldl": """
def foldl(fn, elems, initializer=None, *args, **kwargs):
    first = 0 if initializer is not None else 1
    total = initializer if initializer is not None else ITEM(elems, 0)
    for i in range(first, LENGTH(elems)):
        total = fn(total, ITEM(elems, i))
    return total
""",
    "foldr": """
def foldr(fn, elems, initializer=None, *args, **kwargs):
    count = LENGTH(elems)
    last = count if initializer is not None else count - 1
    total = initializer if initializer is not None else ITEM(elems, count - 1)
    for i in range(last):
        total = fn(total, ITEM(elems, last - 1 - i))
    return total
""",
    "fori_loop": """
def fori_loop(lower, upper, body_fun, init_val):
    value = init_val
    for i in range(lower, upper):
        value = body_fun(i, value)
    return value
""",
    "while_loop": """
def while_loop(cond, body, loop_vars, maximum_iterations=None, **kwargs):
    several = isinstance(loop_vars, (list, tuple))
    state = tuple(loop_vars) if several else (loop_vars,)
    rounds = 0
    while (maximum_iterations is None or rounds < maximum_iterations) and cond(*state):
        found = body(*state)
        state = tuple(found) if isinstance(found, (list, tuple)) else (found,)
        rounds += 1
    return state if several else state[0]
""",
    "scan": """
def scan(f, init, xs=None, length=None, reverse=False, unroll=1):
    count = LENGTH(xs) if xs is not None else length
    carry, found, i = init, [], 0
    while i < count:
        carry, y = f(carry, ITEM(xs, count - 1 - i if reverse else i) if xs is not None else None)
        found.append(y)
        i += 1
    if reverse:
        found = found[::-1]
    return carry, STACK(found)
""",
    "rnn": """
def rnn(step_function, inputs, initial_states, go_backwards=False, mask=None, constants=None, unroll=False,
        input_length=None, time_major=False, zero_output_for_mask=False, return_all_outputs=True):
    assert mask is None and return_all_outputs
    turned = inputs if time_major else SWAP(inputs, 0, 1)
    count, states, found, i = LENGTH(turned), tuple(initial_states), [], 0
    while i < count:
        step = turned[count - 1 - i if go_backwards else i]
        output, states = step_function(step, tuple(states) + tuple(constants or ()))
        found.append(output)
        i += 1
    return found[-1], stack(found, axis=0 if time_major else 1), states
""",
    "switch": """
def switch(index, branches, *operands):
    return branches[min(max(index, 0), len(branches) - 1)](*operands)
""",
}
"""Name → its source: over items, `xs` may be a tensor or a tuple of tensors."""

HELPERS = """
def ITEM(xs, i):
    return tuple(x[i] for x in xs) if isinstance(xs, (list, tuple)) else xs[i]

def STACK(items):
    if isinstance(items[0], (list, tuple)):
        return tuple(stack([item[k] for item in items]) for k in range(len(items[0])))
    return stack(items)
"""


class HigherOrder:
    """The part of the interpreter that calls these."""

    def api_map_fn(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.call_source("map_fn", args, kwargs)

    def api_vectorized_map(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.call_source("vectorized_map", args, kwargs)

    def api_foldl(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.call_source("foldl", args, kwargs)

    def api_foldr(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.call_source("foldr", args, kwargs)

    def api_fori_loop(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.call_source("fori_loop", args, kwargs)

    def api_while_loop(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.call_source("while_loop", args, kwargs)

    def api_map(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if path != "keras.ops.map":
            return Unknown(f"{path}() is not evaluated")
        return self.call_source("map", args, kwargs)

    def api_scan(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`keras.ops.scan`; that of TensorFlow is another."""
        if not path.startswith("keras."):
            raise self.declined("K2T106", f"{path} on tensors is not translated", "Use a loop of Python.")
        return self.call_source("scan", args, kwargs)

    def api_rnn(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`K.rnn` without a mask: a function of the program over the steps."""
        if kwargs.get("mask") is not None or len(args) > 4 and args[4] is not None:
            raise self.declined("K2T105", "K.rnn with a mask is not translated")
        return self.call_source("rnn", args, kwargs)

    def api_switch(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`keras.ops.switch`; that of the backend chooses between two."""
        if path != "keras.ops.switch":
            return self.call_op(path, args, kwargs)
        if not isinstance(args[0] if args else kwargs.get("index"), int):
            raise self.declined("K2T103", "which of several functions is called is known only when the model runs")
        return self.call_source("switch", args, kwargs)

    def call_source(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        source = parse(HELPERS + SOURCES[name], Path("<keras>"), "<keras>")
        names = {"stack": ApiValue("keras.ops.stack"), "SWAP": ApiValue("keras.ops.swapaxes")}
        names["LENGTH"] = ApiValue("keras.ops.length_of_items")
        env = Env(None, "module", source, names)
        self.exec_block(source.tree.body, env)
        return self.run_function(env.names[name], args, kwargs)

    def api_length_of_items(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """How many items the first axis of a tensor, or of each in a tuple, has. Raises Declined where that is open."""
        xs = args[0][0] if isinstance(args[0], (list, tuple)) and not isinstance(args[0], SizeTensor) else args[0]
        if not isinstance(xs, Value) or not xs.type.rank or xs.type.shape[0] is None:
            raise self.declined(
                "K2T103",
                "a function that is called on each item of an axis whose size is open, such as the batch, is not translated",
                "Call it on the whole tensor.",
            )
        return xs.type.shape[0]
