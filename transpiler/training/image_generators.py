"""`ImageDataGenerator`: a class of the result that has what the file uses of it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.read.keras.evaluate.values import Unknown
from transpiler.rules.base import parse_signature
from transpiler.rules.training.base import TRAINING
from transpiler.training.file import FileTraining
from transpiler.write.torch.layout import render

PATH = "keras.preprocessing.image.ImageDataGenerator"
OPTIONS = {
    "featurewise_center": "False",
    "samplewise_center": "False",
    "featurewise_std_normalization": "False",
    "samplewise_std_normalization": "False",
    "rotation_range": "0",
    "width_shift_range": "0.0",
    "height_shift_range": "0.0",
    "brightness_range": "None",
    "shear_range": "0.0",
    "zoom_range": "0.0",
    "channel_shift_range": "0.0",
    "fill_mode": '"nearest"',
    "cval": "0.0",
    "horizontal_flip": "False",
    "vertical_flip": "False",
    "rescale": "None",
    "preprocessing_function": "None",
    "validation_split": "0.0",
}
"""The arguments that are translated, and their defaults."""
DEFAULTS = {n: ast.literal_eval(text) for n, text in OPTIONS.items()} | {
    "zca_whitening": False,
    "zca_epsilon": 1e-6,
    "interpolation_order": 1,
    "data_format": None,
    "dtype": None,
}
"""The defaults of all arguments: who passes these says nothing."""
MOVES = ("rotation_range", "width_shift_range", "height_shift_range", "shear_range", "zoom_range")
FILLED = ("nearest", "constant", "reflect", "wrap")
METHODS = {
    "flow": "x, y=None, batch_size=32, shuffle=True, sample_weight=None, seed=None, subset=None",
    "flow_from_directory": (
        "directory, target_size=(256, 256), color_mode='rgb', classes=None, class_mode='categorical', batch_size=32, "
        "shuffle=True, seed=None, subset=None, interpolation='nearest'"
    ),
    "fit": "x",
    "standardize": "x",
    "random_transform": "x",
}
"""The methods that are translated, and their arguments."""


class ImageGenerators:
    """Writes the class for all generators of a file, with the options and methods that one of them uses."""

    def __init__(self, file: FileTraining) -> None:
        self.file = file
        self.interpreter = file.interpreter

    def write(self) -> None:
        scopes = self.file.scopes
        calls = [n for n in scopes.scope if isinstance(n, ast.Call) and self.file.path_of(n.func) == PATH]
        calls = [n for n in calls if n not in self.file.gone]
        if not calls:
            return
        options: set[str] = set()
        try:
            methods = self.methods()
            for call in calls:
                own = self.options(call)
                options |= own
                self.leave_out_defaults(call, own)
            if "ImageDataGenerator" in {n for _, n in scopes.bound}:
                raise Declined(TRAINING, "the file has an ImageDataGenerator of its own")
        except Declined as declined:
            self.file.declined.update(dict.fromkeys(calls, declined))
            return
        if not options & set(MOVES):
            options -= {"fill_mode", "cval"}
        self.file.edit.preamble.append(
            render(
                "training/ImageDataGenerator",
                options={n: default for n, default in OPTIONS.items() if n in options},
                methods=methods,
                fits="fit" in methods and any(n.startswith("featurewise") for n in options),
            )
        )
        flows = {"flow", "flow_from_directory"} & methods
        helpers = {
            "warp_image": options & set(MOVES),
            "ImageBatches": flows,
            "image_files": "flow_from_directory" in methods,
            "ImageFiles": "flow_from_directory" in methods,
        }
        self.file.edit.needs([name for name, used in helpers.items() if used])

    def options(self, call: ast.Call) -> set[str]:
        """The arguments of one generator. Raises Declined for those that are not translated."""
        made = self.interpreter.data_objects.get(call)
        hidden = any(k.arg is None for k in call.keywords)
        if call.args or hidden and made is None:
            raise Declined(TRAINING, "an ImageDataGenerator with arguments that have no names is not translated")
        given: Mapping[str, Any] = made.given if made is not None else {str(k.arg): Unknown("") for k in call.keywords}
        given = {n: v for n, v in given.items() if hidden or not is_default(n, v)}
        if self.interpreter.image_data_format != "channels_last" or given.get("data_format") == "channels_first":
            raise Declined(TRAINING, "an ImageDataGenerator of images with channels first is not translated")
        for name in [n for n in given if n not in OPTIONS and n != "data_format"]:
            raise Declined(TRAINING, f"ImageDataGenerator({name}=…) is not translated")
        if "data_format" in given:
            raise Declined(TRAINING, "ImageDataGenerator(data_format=…) is not translated: leave it out")
        fill = given.get("fill_mode", "nearest")
        if fill not in FILLED or isinstance(fill, Unknown):
            raise Declined(TRAINING, "ImageDataGenerator(fill_mode=…) has to be one of " + ", ".join(FILLED))
        return set(given)

    def leave_out_defaults(self, call: ast.Call, options: set[str]) -> None:
        """Takes the arguments out of a call that say what holds anyway."""
        kept = [k for k in call.keywords if k.arg is None or k.arg in options]
        if len(kept) < len(call.keywords):
            self.file.replace_expression(call, ast.unparse(ast.Call(call.func, [], kept)))

    def methods(self) -> set[str]:
        """The methods that the file uses. Raises Declined for calls of them that are not translated."""
        found = {n.attr for n in self.file.scopes.scope if isinstance(n, ast.Attribute) and n.attr in METHODS}
        for call, (path, name, given) in self.interpreter.data_calls.items():
            if path != PATH or call not in self.file.scopes.scope:
                continue
            if name not in METHODS:
                raise Declined(TRAINING, f"{name}() of an ImageDataGenerator is not translated")
            try:
                named = {k.arg: k.value for k in call.keywords if k.arg} | dict.fromkeys(given)
                bound = parse_signature(METHODS[name]).bind(*call.args, **named).arguments
            except TypeError as error:
                raise Declined(TRAINING, f"{name}() of an ImageDataGenerator: {error}") from None
            if isinstance(bound.get("x"), (ast.Tuple, ast.List)):
                raise Declined(TRAINING, f"{name}() of several arrays of images is not translated")
            if given.get("class_mode", "categorical") not in ("categorical", "binary", "sparse", None):
                raise Declined(TRAINING, "flow_from_directory() with this class_mode is not translated")
        return found


def is_default(name: str, value: Any) -> bool:
    """Whether an argument says what Keras takes without it."""
    default = DEFAULTS.get(name, value)
    plain = isinstance(value, (bool, int, float, str, type(None)))
    return name in DEFAULTS and plain and (value is None) == (default is None) and value == default
