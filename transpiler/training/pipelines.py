"""Pipelines of `tf.data` as datasets and loaders of torch."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.read.keras.evaluate.pipelines import FOLDER, SERIES, SIGNATURES, SOURCES, Pipeline
from transpiler.read.keras.evaluate.values import Function
from transpiler.rules.base import parse_signature
from transpiler.rules.training.base import TRAINING
from transpiler.training.map_functions import MapFunction

NOTHING = ("prefetch", "with_options")
"""Steps that make no difference to what comes out."""


@dataclass
class PipelineWriter:
    """Writes pipelines: samples as a Dataset, batches as a DataLoader.

    What the order of samples depends on, `shuffle` and `repeat`, is said by the loader. `takes` notes names of
    libraries, `needs` a helper and gives its name here; `place` puts the new text of a function of the program where it stands.
    """

    pipelines: Mapping[ast.Call, Pipeline]
    takes: Callable[..., None]
    needs: Callable[[str], str]
    evaluate: Callable[[ast.expr, Any], Any]
    place: Callable[[MapFunction], None]
    near: Callable[..., None]
    """Notes what is not quite the same."""
    made: Mapping[ast.Call, Sequence[Pipeline]]
    """All pipelines that a call made, one after the other."""
    condition: Callable[[ast.AST, ast.AST], str]
    """The test that decides whether a step is done, as code for another place; "" if there is none, or not there."""
    channels_first: bool = False
    drawn: set[ast.AST] = field(default_factory=set)
    """Functions that draw random numbers."""

    def text(self, node: ast.expr) -> str:
        """The text of an expression that makes a pipeline. Raises Declined for one that is not translated."""
        if not isinstance(node, ast.Call) or node not in self.pipelines:
            return ast.unparse(node)
        texts = {self.text_as(node, made): made for made in reversed(self.made.get(node) or [self.pipelines[node]])}
        if len(texts) == 1:
            return next(iter(texts))
        plain, mixed = sorted(texts, key=len)[0], sorted(texts, key=len)[-1]
        if len(texts) > 2 or plain != mixed.replace(", shuffle=True", ""):
            raise Declined(TRAINING, "a step of a tf.data.Dataset that differs from call to call is not translated")
        steps = set(chain(texts[mixed])) - set(chain(texts[plain]))
        shuffles = [n for n, all_made in self.made.items() if steps & {*all_made} and called(n) == "shuffle"]
        test = self.condition(shuffles[0], node) if len(shuffles) == 1 else ""
        if not test:
            raise Declined(TRAINING, "shuffle() of some of the datasets that a call makes is not translated")
        return mixed.replace("shuffle=True", f"shuffle={test}")

    def text_as(self, node: ast.Call, made: Pipeline) -> str:
        """The text of such a call for one of the pipelines that it made."""
        name, _ = made.steps[-1]
        if len(made.steps) == 1:
            return str(getattr(self, f"write_{name}")(node, made))
        if not made.known:
            raise Declined(TRAINING, f"{name or 'this step'}() of a tf.data.Dataset is not translated")
        assert isinstance(node.func, ast.Attribute)
        receiver = node.func.value
        before = Pipeline(made.reason, made.steps[:-1])
        if name == "unbatch" and before.steps[-1][0] == "batch" and receiver in self.pipelines:
            self.check_unbatch(before)
            assert isinstance(receiver, ast.Call) and isinstance(receiver.func, ast.Attribute)
            return self.text(receiver.func.value)
        inner = self.text(receiver)
        return str(getattr(self, f"write_{name}")(inner, before, arguments(node, SIGNATURES[name]), made))

    def check(self, pipeline: Pipeline) -> None:
        """Raises Declined for a pipeline whose making, wherever that stands, is not translated."""
        for node in [n for n, p in self.pipelines.items() if p is pipeline]:
            self.text(node)
        for part in (*pipeline.zipped, *([pipeline.base] if pipeline.base is not None else [])):
            self.check(part)

    # --- sources --------------------------------------------------------------------------------------------------

    def write_from_tensor_slices(self, node: ast.Call, made: Pipeline) -> str:
        arrays = arguments(node, SOURCES["tensorflow.data.Dataset.from_tensor_slices"])["tensors"]
        return self.slices(arrays, made.structure)

    def slices(self, node: ast.expr, structure: Any) -> str:
        """Arrays as a dataset; tuples of them as a dataset of tuples."""
        if isinstance(node, ast.Dict):
            raise Declined(TRAINING, "a tf.data.Dataset of dictionaries is not translated")
        if not isinstance(node, ast.Tuple):
            if isinstance(structure, tuple):
                raise Declined(TRAINING, "a tf.data.Dataset of a tuple that is not written out is not translated")
            return f"torch.as_tensor({ast.unparse(node)})"
        inner = (
            structure if isinstance(structure, tuple) and len(structure) == len(node.elts) else [None] * len(node.elts)
        )
        nested = any(isinstance(n, ast.Tuple) for n in node.elts)
        kind = "StackDataset" if nested else "TensorDataset"
        self.takes("torch.utils.data", kind)
        return f"{kind}({', '.join(self.slices(n, i) for n, i in zip(node.elts, inner))})"

    def write_from_generator(self, node: ast.Call, made: Pipeline) -> str:
        given = arguments(node, SOURCES["tensorflow.data.Dataset.from_generator"])
        rest = given.get("args")
        if rest is not None and not isinstance(rest, (ast.Tuple, ast.List)):
            raise Declined(TRAINING, "from_generator() with arguments that are not written out is not translated")
        maker = self.needs("FromGenerator")
        extra = [ast.unparse(n) for n in rest.elts] if rest is not None else []
        return f"{maker}({', '.join([ast.unparse(given['generator']), *extra])})"

    def write_zip(self, node: ast.Call, made: Pipeline) -> str:
        given = node.args if len(node.args) > 1 else [arguments(node, "datasets, name=None")["datasets"]]
        items = given[0].elts if len(given) == 1 and isinstance(given[0], (ast.Tuple, ast.List)) else given
        parts = made.zipped
        if len(items) != len(parts) or len(parts) < 2:
            raise Declined(TRAINING, "zip() of datasets that are not listed one by one is not translated")
        for part in parts:
            if part.structure is not None or any(n == "map" for n, _ in part.steps):
                raise Declined(TRAINING, "zip() of datasets of several arrays is not translated")
        texts = [self.text(item) for item in items]
        if all(p.batched for p in parts):
            return f"{self.needs('Passes')}(zip, {', '.join(texts)})"
        if any(p.batched or order(p) or p.steps[0][0] == "from_generator" for p in parts):
            raise Declined(TRAINING, "zip() after shuffle() or repeat(), or of generators, is not translated")
        self.takes("torch.utils.data", "StackDataset")
        return f"StackDataset({', '.join(texts)})"

    def write_image_dataset_from_directory(self, node: ast.Call, made: Pipeline) -> str:
        given = arguments(node, FOLDER)
        interpolation = given.get("interpolation")
        if interpolation is not None and getattr(interpolation, "value", None) != "bilinear":
            raise Declined(TRAINING, "image_dataset_from_directory(interpolation=…) is not translated")
        text = "JPEG files are decoded by Pillow, whose pixels may be a few levels off those of TensorFlow's decoder"
        self.near(text, node)
        return self.loader("load_image_folder", node, made)

    def write_timeseries_dataset_from_array(self, node: ast.Call, made: Pipeline) -> str:
        arguments(node, SERIES)
        return self.loader("sliding_windows", node, made)

    def loader(self, helper: str, node: ast.Call, made: Pipeline) -> str:
        """A function that reads batches, with the arguments of the source."""
        if not made.batched:
            raise Declined(TRAINING, "a dataset with batch_size=None is not translated")
        if self.channels_first:
            raise Declined(TRAINING, "images with channels first are not translated here")
        named = [f"{k.arg}={ast.unparse(k.value)}" for k in node.keywords if k.arg != "interpolation"]
        return f"{self.needs(helper)}({', '.join([*map(ast.unparse, node.args), *named])})"

    # --- steps ----------------------------------------------------------------------------------------------------

    def write_prefetch(self, inner: str, before: Pipeline, given: Mapping[str, ast.expr], made: Pipeline) -> str:
        return inner

    write_with_options = write_prefetch

    def write_cache(self, inner: str, before: Pipeline, given: Mapping[str, ast.expr], made: Pipeline) -> str:
        functions = [g.get("map_func") for name, g in before.steps if name == "map"]
        if any(getattr(f, "node", None) in self.drawn for f in functions):
            raise Declined(TRAINING, "cache() of what random numbers were drawn for is not translated")
        return inner

    def write_shuffle(self, inner: str, before: Pipeline, given: Mapping[str, ast.expr], made: Pipeline) -> str:
        if before.batched and len(before.zipped) == 0 and mixed(before):
            return inner  # whose batches are made of other samples in every pass
        if before.batched or "repeat" in order(before) or before.steps[0][0] == "from_generator":
            raise Declined(TRAINING, "shuffle() of batches, of a generator or after repeat() is not translated")
        return inner

    def write_repeat(self, inner: str, before: Pipeline, given: Mapping[str, ast.expr], made: Pipeline) -> str:
        if not before.batched:
            if "repeat" in order(before) or before.steps[0][0] == "from_generator":
                raise Declined(TRAINING, "repeat() of a generator, or twice, is not translated")
            return inner
        passes = self.needs("Passes")
        if made.endless:
            return f"{passes}({self.needs('endless')}, {inner})"
        self.takes("itertools", "chain")
        return f"{passes}(chain.from_iterable, [{inner}] * {ast.unparse(given['count'])})"

    def write_batch(self, inner: str, before: Pipeline, given: Mapping[str, ast.expr], made: Pipeline) -> str:
        if before.batched:
            raise Declined(TRAINING, "batch() of batches is not translated")
        self.takes("torch.utils.data", "DataLoader")
        size = ast.unparse(given["batch_size"])
        if self.is_negative(made, "batch_size"):
            raise Declined(TRAINING, "batches of no size are not translated")
        drop = given.get("drop_remainder")
        dropped = f", drop_last={ast.unparse(drop)}" if drop is not None else ""
        steps = order(before)
        if "repeat" not in steps:
            mixed = ", shuffle=True" if "shuffle" in steps else ""
            return f"DataLoader({inner}, batch_size={size}{mixed}{dropped})"
        if not inner.isidentifier():
            raise Declined(TRAINING, "batch() after repeat() of a dataset that has no name is not translated")
        sampler = self.needs("RepeatSampler")
        times = next(g.get("count") for name, g in before.steps if name == "repeat")
        if times is not None and not isinstance(times, int):
            raise Declined(TRAINING, "repeat() with a count that cannot be evaluated is not translated")
        options = [inner, *([f"times={times}"] if times not in (None, -1) else [])]
        options += ["shuffle=True"] if "shuffle" in steps else []
        return f"DataLoader({inner}, batch_size={size}, sampler={sampler}({', '.join(options)}){dropped})"

    def write_unbatch(self, inner: str, before: Pipeline, given: Mapping[str, ast.expr], made: Pipeline) -> str:
        self.check_unbatch(before)
        return f"{inner}.dataset"

    @staticmethod
    def check_unbatch(before: Pipeline) -> None:
        """Raises Declined where the samples are not those that were put into batches last."""
        steps = [s for s in before.steps if s[0] not in (*NOTHING, "cache")]
        drops = steps[-1][1].get("drop_remainder", False)
        if steps[-1][0] != "batch" or drops is not False or "repeat" in order(before):
            raise Declined(TRAINING, "unbatch() of anything but what batch() has just made is not translated")

    def write_take(self, inner: str, before: Pipeline, given: Mapping[str, ast.expr], made: Pipeline) -> str:
        count = ast.unparse(given["count"])
        if self.is_negative(made, "count"):
            return inner  # which means all
        if before.batched:
            return self.some(inner, count)
        self.check_order("take", before)
        return f"Subset({inner}, range({count}))"

    def write_skip(self, inner: str, before: Pipeline, given: Mapping[str, ast.expr], made: Pipeline) -> str:
        count = ast.unparse(given["count"])
        if self.is_negative(made, "count"):
            raise Declined(TRAINING, "skip() of everything is not translated")
        if before.batched:
            return self.some(inner, f"{count}, None")
        self.check_order("skip", before)
        return f"Subset({inner}, range({count}, len({inner})))"

    def write_map(self, inner: str, before: Pipeline, given: Mapping[str, ast.expr], made: Pipeline) -> str:
        function = made.steps[-1][1].get("map_func")
        if not isinstance(function, Function):
            raise Declined(TRAINING, "map() with anything but a function of the program is not translated")
        if not before.batched and before.steps[0][0] == "from_generator":
            raise Declined(TRAINING, "map() of the samples of a generator is not translated")
        changed = MapFunction(function, self.evaluate).rewrite()
        if changed.draws:
            self.drawn.add(function.node)
        self.place(changed)
        for helper in changed.helpers:
            if self.needs(helper) != helper:
                raise Declined(TRAINING, f"the file has a {helper} of its own")
        mapped = self.needs("MappedLoader" if before.batched else "Mapped")
        written = given["map_func"]
        if isinstance(written, ast.Lambda):
            text = changed.text(written)
        elif isinstance(function.node, ast.FunctionDef):
            text = ast.unparse(written)
        else:
            raise Declined(TRAINING, "map() with a lambda that is written somewhere else is not translated")
        return f"{mapped}({inner}, {text})"

    # --- parts ----------------------------------------------------------------------------------------------------

    def check_order(self, name: str, before: Pipeline) -> None:
        if order(before) or before.steps[0][0] == "from_generator":
            raise Declined(TRAINING, f"{name}() after shuffle() or repeat(), or of a generator, is not translated")
        self.takes("torch.utils.data", "Subset")

    def some(self, inner: str, bounds: str) -> str:
        """Some of the batches of a loader."""
        self.takes("itertools", "islice")
        return f"{self.needs('Passes')}(islice, {inner}, {bounds})"

    @staticmethod
    def is_negative(made: Pipeline, name: str) -> bool:
        value = made.steps[-1][1].get(name)
        return isinstance(value, int) and value < 0


def mixed(pipeline: Pipeline) -> bool:
    """Whether the samples of batches are mixed in every pass, and nothing depends on the order of the batches."""
    names = [name for name, _ in pipeline.steps]
    before = names[: names.index("batch")] if "batch" in names else []
    shuffled = pipeline.steps[0][1].get("shuffled") is True or "shuffle" in before
    return shuffled and not {"take", "skip", "repeat"} & set(names)


def chain(pipeline: Pipeline) -> list[Pipeline]:
    """A pipeline and those that it was made of, step by step."""
    return [pipeline, *(chain(pipeline.base) if pipeline.base is not None else [])]


def called(node: ast.Call) -> str:
    """The name of the method that a call calls."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def order(pipeline: Pipeline) -> list[str]:
    """The steps that change the order of samples and that no loader has taken up yet."""
    names = [name for name, _ in pipeline.steps]
    return [] if pipeline.batched else [n for n in names if n in ("shuffle", "repeat")]


def arguments(node: ast.Call, signature: str) -> dict[str, ast.expr]:
    """The expressions of the arguments of a call."""
    if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
        raise Declined(TRAINING, f"{ast.unparse(node.func)}() with * or ** is not translated")
    named = {k.arg: k.value for k in node.keywords if k.arg}
    try:
        return dict(parse_signature(signature).bind(*node.args, **named).arguments)
    except TypeError as error:
        raise Declined(TRAINING, f"{ast.unparse(node.func)}(): {error}") from None
