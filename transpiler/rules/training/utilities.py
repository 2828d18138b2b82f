"""Functions of Keras on data, which become functions on numpy arrays that the result brings along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Utility:
    """A function: its names, and the helper with the same arguments or a function of torch."""

    names: tuple[str, ...]
    helper: str = ""
    drops: bool = False
    """Whether it is a base of classes that need none."""
    function: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Names of the function that come from libraries → their modules."""


ALL = (
    Utility(("keras.utils.to_categorical",), "to_categorical"),
    Utility(
        (
            "keras.utils.pad_sequences",
            "keras.preprocessing.sequence.pad_sequences",
        ),
        "pad_sequences",
    ),
    Utility(("keras.datasets.mnist.load_data",), "load_mnist"),
    Utility(("tensorflow.random.set_seed", "tensorflow.set_random_seed"), function="torch.manual_seed"),
    Utility(("keras.utils.set_random_seed",), "set_random_seed"),
    Utility(("keras.callbacks.Callback",), drops=True),
    Utility(
        ("keras.utils.Sequence", "keras.utils.PyDataset"),
        function="Dataset",
        libraries={"Dataset": "torch.utils.data"},
    ),
)
UTILITIES = {name: utility for utility in ALL for name in utility.names}
"""Every function by the names that it has today."""
