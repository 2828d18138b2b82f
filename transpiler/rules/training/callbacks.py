"""Callbacks, as statements in the loop over the epochs."""

from __future__ import annotations

import ast
import copy
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, code_of, is_open
from transpiler.ir.model import KERAS3, Args
from transpiler.ir.trees import nodes
from transpiler.rules.base import call, show
from transpiler.rules.training.base import TRAINING, TrainingRule
from transpiler.rules.training.schedules import atom

SUFFIXES = (".weights.h5", ".h5", ".hdf5", ".keras", ".ckpt", ".tf")
"""Names of files that Keras writes; the result writes `.pt`."""


@dataclass(frozen=True)
class Loop:
    """The loop over the epochs that a callback acts in: texts of what it may read, and names for variables."""

    model: str
    optimizer: str
    epoch: str
    values: Mapping[str, str]
    """What Keras calls the numbers of an epoch → variables."""
    rising: frozenset[str]
    """Those of them that are better the larger they are."""
    take: Callable[[str], str]
    """An unused variable of this or a similar name."""
    scheduler: str = ""
    """What changes the learning rate after each step, if something does."""
    initial: str = "0"
    """The first epoch that the program asks for."""
    first: str = "0"
    """The epoch that the loop begins with: a variable where a callback decides."""

    @property
    def logs(self) -> str:
        """The numbers of an epoch as a dictionary."""
        return "{" + ", ".join(f"{title!r}: {value}" for title, value in self.values.items()) + "}"

    def value(self, monitor: Any) -> str:
        """The variable that a callback watches. Raises Declined if there is none."""
        if monitor not in self.values:
            raise Declined(TRAINING, f"there is no {show(monitor)} to watch")
        return self.values[monitor]


@dataclass
class CallbackCode:
    """Statements before the loop, at the start of an epoch, at its end, to stop after all others, after the loop."""

    before: list[str] = field(default_factory=list)
    begin: list[str] = field(default_factory=list)
    end: list[str] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    libraries: dict[str, str] = field(default_factory=dict)
    batches: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Variables that hold callbacks → their methods that are called before and after each batch."""


class CallbackRule(TrainingRule):
    """One callback."""

    home = "callbacks"
    ignored = ()
    changes_rate: bool = False
    """Whether it changes the learning rate."""
    reads_all: bool = False
    """Whether it reads all numbers of an epoch."""
    restarts: bool = False
    """Whether it decides with which epoch the loop begins."""
    rises: Callable[[str], bool] = staticmethod(lambda monitor: False)
    """Whether legacy Keras, which goes by names, takes what is watched to be better the larger it is."""

    def goes_on(self, a: Args) -> bool:
        """Whether what it has seen in one `fit` counts in the next."""
        return False

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        raise NotImplementedError

    def lightning(self, a: Args, loop: Loop) -> tuple[str, Mapping[str, str]] | None:
        """Lightning's own callback, and names → the modules it takes them from; None where none does the same."""
        return None


def better(rule: CallbackRule, a: Args, loop: Loop) -> tuple[str, str]:
    """(the value watched, the sign that says it is better), from `monitor` and `mode`."""
    value, mode = loop.value(a.const("monitor")), a.const("mode")
    if mode not in ("auto", "min", "max"):
        raise Declined(TRAINING, f"the mode {show(mode)} is unknown")
    rising = mode == "max"
    if mode == "auto":
        rising = a.monitor in loop.rising if a.generation == KERAS3 else rule.rises(a.monitor)
    return value, ">" if rising else "<"


def improved(value: str, sign: str, best: str, delta: Any) -> str:
    """The test that a value is better than the best so far by more than `delta`."""
    if not is_open(delta) and not delta:
        return f"{value} {sign} {best}"
    return f"{value} {'+' if sign == '<' else '-'} {code_of(delta)} {sign} {best}"


def worst(sign: str) -> str:
    return "math.inf" if sign == "<" else "-math.inf"


class EarlyStopping(CallbackRule):
    names = ("EarlyStopping",)
    signature = (
        "monitor='val_loss', min_delta=0, patience=0, verbose=0, mode='auto', baseline=None, "
        "restore_best_weights=False, start_from_epoch=0"
    )
    rises = staticmethod(lambda monitor: monitor.endswith(("acc", "accuracy", "auc")))

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        value, sign = better(self, a, loop)
        restores = a.const("restore_best_weights")
        best, waited = loop.take(f"best_{value.partition('_')[2] or value}"), loop.take("waited")
        weights = loop.take("best_weights") if restores else ""
        names, values = [best, waited], [worst(sign), "0"]
        if restores:
            names, values = [*names, weights], [*values, "None"]
        copied = [f"{weights} = copy.deepcopy({loop.model}.state_dict())"] if restores else []
        patience = a.patience if is_open(a.patience) else max(a.patience, 1)
        late = "" if not is_open(patience) and patience > 1 else f" and {loop.epoch} > 0"
        better_now, enough = improved(value, sign, best, a.min_delta), f"{waited} >= {code_of(patience)}{late}"
        if a.baseline is None:
            end = [f"if {better_now}:", *indented([f"{best}, {waited} = {value}, 0", *copied])]
            end += ["else:", f"    {waited} += 1"]
        else:  # what is better than before but not than this goes on waiting, and does not stop
            going = loop.take("improved")
            names, values = [*names, going], [*values, "True"]
            reached = improved(value, sign, code_of(a.baseline), a.min_delta)
            end = [f"{going} = {better_now}", f"{waited} += 1", f"if {going}:"]
            end += indented([f"{best} = {value}", *copied, f"if {reached}:", f"    {waited} = 0"])
            enough = f"not {going} and {enough}"
        if is_open(a.start_from_epoch) or a.start_from_epoch:
            end = [f"if {loop.epoch} >= {code_of(a.start_from_epoch)}:", *indented(end)]
        code = CallbackCode([f"{', '.join(names)} = {', '.join(values)}"], end=end)
        code.stop = [f"if {enough}:", "    break"]
        if restores:
            code.after = [f"if {weights} is not None:", f"    {loop.model}.load_state_dict({weights})"]
        return code

    def lightning(self, a: Args, loop: Loop) -> tuple[str, Mapping[str, str]] | None:
        if a.const("restore_best_weights") or a.baseline is not None or a.start_from_epoch != 0:
            return None
        _, sign = better(self, a, loop)
        patience = a.patience if is_open(a.patience) else max(a.patience, 1)
        options = {"mode": "min" if sign == "<" else "max", "patience": patience, "check_finite": False}
        if is_open(a.min_delta) or a.min_delta:
            options["min_delta"] = a.min_delta
        return call("EarlyStopping", a.monitor, **options), {"EarlyStopping": "lightning.pytorch.callbacks"}


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


class ModelCheckpoint(CallbackRule):
    """`torch.save` of the weights."""

    names = ("ModelCheckpoint",)
    signature = (
        "filepath, monitor='val_loss', verbose=0, save_best_only=False, save_weights_only=False, mode='auto', "
        "save_freq='epoch', initial_value_threshold=None, options=None"
    )
    legacy = f"{signature}, period=1"
    unsupported = {
        "save_freq": "files are written at the end of epochs only",
    }
    rises = staticmethod(lambda monitor: "acc" in monitor or monitor.startswith("fmeasure"))

    def goes_on(self, a: Args) -> bool:
        return bool(a.save_best_only)

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        code = self.saving(a, loop)
        period = a.get("period", 1)
        if is_open(period) or period != 1:
            if loop.first != "0":
                raise Declined(
                    TRAINING, "files of every few epochs after another one than the first are not translated"
                )
            code.end = [f"if ({loop.epoch} + 1) % {atom(period)} == 0:", *indented(code.end)]
        return code

    def saving(self, a: Args, loop: Loop) -> CallbackCode:
        """What happens at the end of each epoch."""
        save = f"torch.save({loop.model}.state_dict(), {file_text(a.filepath, loop)})"
        if not a.const("save_best_only"):
            return CallbackCode(end=[save])
        value, sign = better(self, a, loop)
        best = loop.take(f"saved_{value.partition('_')[2] or value}")
        end = [f"if {value} {sign} {best}:", f"    {best} = {value}", f"    {save}"]
        first = worst(sign) if a.initial_value_threshold is None else code_of(a.initial_value_threshold)
        return CallbackCode([f"{best} = {first}"], end=end)


def file_text(path: Any, loop: Loop) -> str:
    """A file name as an expression: one that is written out gets torch's ending, and may name numbers of the epoch."""
    if isinstance(path, Sym):
        return torch_path(path.expr)
    if not isinstance(path, str):
        raise Declined(TRAINING, "the file name cannot be evaluated")
    path = torch_file(path)
    if "{" not in path:
        return code_of(path)
    for name, value in {"epoch": f"{loop.epoch} + 1", **loop.values}.items():
        path = re.sub(rf"\{{{name}(?=[:}}])", f"{{{value}", path)
    return f"f{code_of(path)}"


def torch_path(node: ast.expr) -> str:
    """The expression for a file of weights: with torch's ending where its end is written out; else as it stands."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return code_of(torch_file(node.value))
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[-1], ast.Constant):
        last = ast.Constant(torch_file(str(node.values[-1].value)))
        return ast.unparse(ast.JoinedStr([*node.values[:-1], last]))
    return ast.unparse(node)


def torch_file(path: str) -> str:
    """The name of a file of weights with torch's ending."""
    stem = next((path[: -len(s)] for s in SUFFIXES if path.endswith(s)), path)
    return stem if os.path.splitext(stem)[1] in (".pt", ".pth") else f"{stem}.pt"


class ReduceLROnPlateau(CallbackRule):
    """torch's own, which counts one step later, rests one step longer, and takes a relative threshold by default."""

    names = ("ReduceLROnPlateau",)
    signature = (
        "monitor='val_loss', factor=0.1, patience=10, verbose=0, mode='auto', min_delta=0.0001, cooldown=0, min_lr=0.0"
    )
    renames = {"epsilon": "min_delta"}
    changes_rate = True
    rises = staticmethod(lambda monitor: "acc" in monitor)

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        value, sign = better(self, a, loop)
        patience, cooldown = max(a.const("patience"), 1), a.const("cooldown")
        plateau = loop.take("plateau")
        mode = "" if sign == "<" else ", mode='max'"
        options = f"factor={code_of(a.factor)}, patience={patience - 1}, threshold={code_of(a.min_delta)}"
        options += f", cooldown={cooldown - 1}" if cooldown > 1 else ""
        least = f", min_lr={code_of(a.min_lr)}" if is_open(a.min_lr) or a.min_lr else ""
        made = (
            f"{plateau} = torch.optim.lr_scheduler.ReduceLROnPlateau({loop.optimizer}{mode}, {options}, "
            f"threshold_mode='abs'{least}, eps=0)"
        )
        return CallbackCode([made], end=[f"{plateau}.step({value})"])


class CSVLogger(CallbackRule):
    names = ("CSVLogger",)
    signature = "filename, separator=',', append=False"
    reads_all = True

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        log, writer = loop.take("log_file"), loop.take("log")
        if not (is_open(a.filename) or isinstance(a.filename, str)):
            raise Declined(TRAINING, "the file name cannot be evaluated")
        separator = "" if a.separator == "," else f", delimiter={code_of(a.separator)}"
        titles = sorted(loop.values)
        values = [loop.values[t] for t in titles]
        if not any(t.startswith("val_") for t in titles):
            titles, values = [*titles, *(f"val_{t}" for t in titles)], [*values, *("'NA'" for _ in titles)]
        name, heads = code_of(a.filename), f"{writer}.writerow({['epoch', *titles]!r})"
        begin, mode = [heads], "'w'"
        if a.const("append"):
            begin, mode = [f"if {log}.tell() == 0:", f"    {heads}"], "'a'"
        return CallbackCode(
            [f"{log} = open({name}, {mode}, newline='')", f"{writer} = csv.writer({log}{separator})", *begin],
            end=[f"{writer}.writerow([{', '.join([loop.epoch, *values])}])", f"{log}.flush()"],
            after=[f"{log}.close()"],
        )


class History(CallbackRule):
    """Every `fit` keeps the numbers that are read afterwards."""

    names = ("History", "ProgbarLogger", "BaseLogger")
    signature = "count_mode=None, stateful_metrics=None"

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        return CallbackCode()


class LearningRateScheduler(CallbackRule):
    names = ("LearningRateScheduler",)
    signature = "schedule, verbose=0"
    changes_rate = True

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        call = called(a.schedule, (loop.epoch, 'group["lr"]'))
        lines = [f"for group in {loop.optimizer}.param_groups:", f'    group["lr"] = {call}']
        return CallbackCode(begin=lines)


def called(function: Any, arguments: tuple[str, ...]) -> str:
    """A call of a function of the program with as many of the arguments as it takes.

    Raises Declined for what is no plain function.
    """
    node = getattr(function, "node", None)
    if not isinstance(node, (ast.FunctionDef, ast.Lambda)) or getattr(function, "owner", None) is not None:
        raise Declined(TRAINING, "a callback is given something else than a function of the program")
    a = node.args
    count = len(arguments) if a.vararg else len((*a.posonlyargs, *a.args))
    name = f"({ast.unparse(node)})" if isinstance(node, ast.Lambda) else function.name
    return f"{name}({', '.join(arguments[:count])})"


class LambdaCallback(CallbackRule):
    """Functions that are called at the start and at the end of epochs and of the training."""

    names = ("LambdaCallback",)
    signature = (
        "on_epoch_begin=None, on_epoch_end=None, on_train_begin=None, on_train_end=None, on_train_batch_begin=None, "
        "on_train_batch_end=None, on_batch_begin=None, on_batch_end=None"
    )
    reads_all = True
    unsupported = {
        name: "nothing is called for each batch"
        for name in ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    }

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        return CallbackCode(
            before=inlined(a.on_train_begin, logs="{}"),
            begin=inlined(a.on_epoch_begin, loop.epoch, logs="{}"),
            end=inlined(a.on_epoch_end, loop.epoch, logs=loop.logs),
            after=inlined(a.on_train_end, logs="{}"),
        )


def inlined(function: Any, *arguments: str, logs: str) -> list[str]:
    """A call of a function with the logs behind the other arguments; of a lambda, what it does."""
    if function is None:
        return []
    node = getattr(function, "node", None)
    if not isinstance(node, ast.Lambda) or node.args.vararg or len(node.args.args) != len(arguments) + 1:
        return [called(function, (*arguments, logs))]
    names = dict(zip((p.arg for p in node.args.args), (*arguments, "logs")))
    body = copy.deepcopy(node.body)
    reads = [n for n in nodes(body) if isinstance(n, ast.Name) and n.id in names]
    lines = [f"logs = {logs}"] if any(names[n.id] == "logs" for n in reads) else []
    for n in reads:
        n.id = names[n.id]
    return [*lines, ast.unparse(body)]


class TerminateOnNaN(CallbackRule):
    """Keras stops within the epoch; the weights are no numbers then either."""

    names = ("TerminateOnNaN",)

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        return CallbackCode(stop=[f"if not math.isfinite({loop.value('loss')}):", "    break"])


class TensorBoard(CallbackRule):
    """`SummaryWriter`, with the numbers of each epoch."""

    reads_all = True

    names = ("TensorBoard",)
    signature = (
        "log_dir='logs', histogram_freq=0, write_graph=True, write_images=False, write_steps_per_second=False, "
        "update_freq='epoch', profile_batch=0, embeddings_freq=0, embeddings_metadata=None"
    )
    legacy = f"{signature}, batch_size=None, write_grads=False, embeddings_layer_names=None, embeddings_data=None"
    unsupported = {
        "embeddings_freq": "no embeddings are written",
        "update_freq": "numbers are written at the end of epochs only",
    }

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        if not (is_open(a.log_dir) or isinstance(a.log_dir, str)):
            raise Declined(TRAINING, "the folder cannot be evaluated")
        writer = loop.take("writer")
        return CallbackCode(
            [f"{writer} = SummaryWriter({code_of(a.log_dir)})"],
            end=[
                *(f"{writer}.add_scalar({title!r}, {value}, {loop.epoch})" for title, value in loop.values.items()),
                *self.histograms(a, loop, writer),
            ],
            after=[f"{writer}.close()"],
            libraries={"SummaryWriter": "torch.utils.tensorboard"},
        )

    @staticmethod
    def histograms(a: Args, loop: Loop, writer: str) -> list[str]:
        """What writes the weights, every few epochs."""
        every = a.const("histogram_freq")
        if not every:
            return []
        name, weight = loop.take("name"), loop.take("weight")
        lines = [f"for {name}, {weight} in {loop.model}.state_dict().items():"]
        lines += [f"    {writer}.add_histogram({name}, {weight}, {loop.epoch})"]
        return lines if every == 1 else [f"if {loop.epoch} % {every} == 0:", *indented(lines)]
