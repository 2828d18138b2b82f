"""Names in the generated code: attributes of modules and variables of `forward`."""

from __future__ import annotations

import keyword
import re

MODULE_NAMES = frozenset(
    [
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
        "T_destination",
        "self",
    ]
)
"""What an attribute of an `nn.Module` must not be called."""

GLOBALS = frozenset(("np", "torch", "nn", "F", "Tensor", "functools", "math", "self", "sum", "len", "zip", "reversed"))


def identifier(text: str, fallback: str = "x") -> str:
    """`text` as a snake_case identifier."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)
    text = re.sub(r"\W+", "_", text).strip("_").lower()
    if not text or text[0].isdigit():
        text = f"{fallback}_{text}".rstrip("_")
    return f"{text}_" if keyword.iskeyword(text) else text


def cap_words(text: str, fallback: str = "Model") -> str:
    """`text` in CapWords: residual_block → ResidualBlock, ResNet50 → ResNet50."""
    parts = [p for p in re.split(r"\W+|_+", text) if p]
    name = "".join(p[0].upper() + p[1:] for p in parts)
    return name if name and not name[0].isdigit() else fallback + name


def script_class_name(variable: str, given: str | None) -> str:
    """The class of a model that a script builds: from the model's own name, without its sizes, else from the variable's.

    `mobilenet_1.00_224` → Mobilenet.
    """
    if variable == "model" and not given:
        return "Net"
    return cap_words(re.sub(r"_\d+\.\d+(_\d+)*$", "", given or variable), "Model")


class Names:
    """Allocates names that clash neither with each other nor with what is reserved."""

    def __init__(self, reserved: frozenset[str] = frozenset()) -> None:
        self.taken: set[str] = set()
        self.reserved = reserved

    def free(self, name: str) -> bool:
        return name not in self.taken and name not in self.reserved and not keyword.iskeyword(name)

    def take(self, name: str) -> str:
        """`name`, or `name` with the first number that is free."""
        candidate, i = name, 1
        while not self.free(candidate):
            i += 1
            candidate = f"{name}{i}" if not name[-1].isdigit() else f"{name}_{i}"
        self.taken.add(candidate)
        return candidate

    def take_numbered(self, names: list[str]) -> list[str]:
        """Names for several things of these kinds: a kind that occurs once stands alone, others are numbered from 1."""
        total: dict[str, int] = {}
        for name in names:
            total[name] = total.get(name, 0) + 1
        seen: dict[str, int] = {}
        result = []
        for name in names:
            seen[name] = seen.get(name, 0) + 1
            wanted = (
                name
                if total[name] == 1
                else f"{name}{seen[name]}" if not name[-1].isdigit() else f"{name}_{seen[name]}"
            )
            result.append(self.take(wanted))
        return result


def singular(name: str) -> str:
    """What one item of a list is called."""
    return name[:-1] if name.endswith("s") and len(name) > 2 and not name.endswith("ss") else f"{name}_item"


def printed_length(text: str) -> int:
    """The length of an expression without the numbers of its static variables, which differ from run to run."""
    return len(re.sub(r"__v?\d+\b", "", text))
