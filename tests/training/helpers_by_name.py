"""Helpers of generated code, to be called in tests."""

from __future__ import annotations

from typing import Any

from transpiler.write.torch.helpers import helper_imports, helper_texts
from transpiler.write.torch.module import STANDARD, torch_imports


def helper(name: str, *others: str) -> Any:
    """A helper, from the text that conversions bring along; the `others` are in the same file."""
    names = (name, *others)
    used = {*STANDARD, *helper_imports(names), "np", "torch", "F", "Tensor", "nn"}
    scope: dict[str, Any] = {"__name__": "result"}
    exec("\n".join([*torch_imports(used, helper_imports(names)), *helper_texts(names)]), scope)
    return scope[name]
