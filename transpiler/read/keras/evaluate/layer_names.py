"""The names that Keras gives to layers by itself."""

from __future__ import annotations

import re
from typing import Any


def automatic_name(cls: str) -> str:
    """The name that Keras gives a layer of this class, without the number: Conv2D → conv2d, MaxPooling2D → max_pooling2d."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", cls)).lower()


class AutomaticName(str):
    """A name with a number that nothing here knows: what is made of it is no name that the source gave."""

    def replace(self, *args: Any) -> AutomaticName:
        return AutomaticName(super().replace(*args))

    def lower(self) -> AutomaticName:
        return self

    def __add__(self, other: str) -> AutomaticName:
        return AutomaticName(str(self) + other)

    def __radd__(self, other: str) -> AutomaticName:
        return AutomaticName(other + str(self))
