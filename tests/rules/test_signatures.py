"""Every rule takes the arguments, and has the defaults, of the layer in both generations."""

from __future__ import annotations

import inspect

import pytest
from harness import GENERATIONS, KERAS3, LIBRARY

from transpiler.rules.base import COMMON
from transpiler.rules.registry import layer_rules

IGNORED = {"self", "args", "kwargs", "dynamic", "input_tensor", "optional"}
SAME = {"channels_last": None}
"""Two spellings of one default."""


def plain(value):
    """A default without its spelling: (2, 2) and 2, "Zeros" and "zeros", 0.0 and 0 are one."""
    if isinstance(value, (tuple, list)):
        values = [plain(v) for v in value]
        return values[0] if len(set(map(str, values))) == 1 else tuple(values)
    if isinstance(value, str):
        return SAME.get(value, value.lower())
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def cases():
    for name, rule in layer_rules().items():
        for generation in GENERATIONS:
            layer = getattr(LIBRARY[generation].layers, name, None)
            if layer is not None and name != "InputLayer":
                yield pytest.param(name, rule, layer, generation, id=f"{name}-{generation}")


@pytest.mark.parametrize("name, rule, layer, generation", list(cases()))
def test_arguments(name, rule, layer, generation):
    ours = {**rule._signature().parameters}
    for key, parameter in inspect.signature(layer.__init__).parameters.items():
        key = rule.renames.get(key, key)
        if key in IGNORED or (key in COMMON and key not in ours):
            continue
        assert key in ours, f"{name}({key}=) is not known"
        default = rule.defaults(generation).get(key, ours[key].default)
        if parameter.default is not inspect.Parameter.empty and default is not inspect.Parameter.empty:
            assert plain(default) == plain(parameter.default), f"{name}({key}=): {default!r} is not Keras's default"


@pytest.mark.parametrize("name, rule, layer, generation", list(cases()))
def test_order_of_arguments(name, rule, layer, generation):
    ours = list(rule._signature().parameters)
    theirs = [rule.renames.get(k, k) for k in inspect.signature(layer.__init__).parameters]
    theirs = [k for k in theirs if k in ours]
    if name.endswith("3DTranspose") and generation == KERAS3:  # two arguments change places: see its `bind`
        a = rule.bind((4, 3, 1, "same", "channels_last", 1), {}, generation)
        assert (a.data_format, a.output_padding) == ("channels_last", 1)
        return
    leading = theirs[: next((i for i, k in enumerate(theirs) if "regularizer" in k or k == "seed"), len(theirs))]
    assert [k for k in ours if k in leading] == leading
