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
from transpiler.ir.expr import code_of, is_open
from transpiler.ir.model import Args
from transpiler.ir.trees import nodes
from transpiler.rules.base import call, show
from transpiler.rules.training.base import TRAINING, TrainingRule

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


class CallbackRule(TrainingRule):
    """One callback."""

    home = "callbacks"
    ignored = ()
    changes_rate: bool = False
    """Whether it changes the learning rate."""

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        raise NotImplementedError

    def lightning(self, a: Args, loop: Loop) -> tuple[str, Mapping[str, str]] | None:
        """Lightning's own callback, and names → the modules it takes them from; None where none does the same."""
        return None


def better(a: Args, loop: Loop) -> tuple[str, str]:
    """(the value watched, the sign that says it is better), from `monitor` and `mode`."""
    value, mode = loop.value(a.const("monitor")), a.const("mode")
    if mode not in ("auto", "min", "max"):
        raise Declined(TRAINING, f"the mode {show(mode)} is unknown")
    rising = a.monitor in loop.rising if mode == "auto" else mode == "max"
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
    unsupported = {"baseline": "a baseline is not translated", "start_from_epoch": "a late start is not translated"}

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        value, sign = better(a, loop)
        restores = a.const("restore_best_weights")
        best, waited = loop.take(f"best_{value.partition('_')[2] or value}"), loop.take("waited")
        weights = loop.take("best_weights") if restores else ""
        names, values = [best, waited], [worst(sign), "0"]
        if restores:
            names, values = [*names, weights], [*values, "None"]
        end = [f"if {improved(value, sign, best, a.min_delta)}:", f"    {best}, {waited} = {value}, 0"]
        if restores:
            end.append(f"    {weights} = copy.deepcopy({loop.model}.state_dict())")
        end += ["else:", f"    {waited} += 1"]
        patience = a.patience if is_open(a.patience) else max(a.patience, 1)
        late = "" if not is_open(patience) and patience > 1 else f" and {loop.epoch} > 0"
        code = CallbackCode([f"{', '.join(names)} = {', '.join(values)}"], end=end)
        code.stop = [f"if {waited} >= {code_of(patience)}{late}:", "    break"]
        if restores:
            code.after = [f"if {weights} is not None:", f"    {loop.model}.load_state_dict({weights})"]
        return code

    def lightning(self, a: Args, loop: Loop) -> tuple[str, Mapping[str, str]] | None:
        if a.const("restore_best_weights"):
            return None
        value, sign = better(a, loop)
        patience = a.patience if is_open(a.patience) else max(a.patience, 1)
        options = {"mode": "min" if sign == "<" else "max", "patience": patience, "check_finite": False}
        if is_open(a.min_delta) or a.min_delta:
            options["min_delta"] = a.min_delta
        return call("EarlyStopping", value, **options), {"EarlyStopping": "lightning.pytorch.callbacks"}


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
        "period": "files are written at the end of every epoch",
        "initial_value_threshold": "the best value starts at the worst there is",
    }

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        save = f"torch.save({loop.model}.state_dict(), {file_text(a.filepath, loop)})"
        if not a.const("save_best_only"):
            return CallbackCode(end=[save])
        value, sign = better(a, loop)
        best = loop.take(f"saved_{value.partition('_')[2] or value}")
        end = [f"if {value} {sign} {best}:", f"    {best} = {value}", f"    {save}"]
        return CallbackCode([f"{best} = {worst(sign)}"], end=end)


def file_text(path: Any, loop: Loop) -> str:
    """A file name as an expression: one that is written out gets torch's ending, and may name numbers of the epoch."""
    if is_open(path):
        return code_of(path)
    if not isinstance(path, str):
        raise Declined(TRAINING, "the file name cannot be evaluated")
    path = torch_file(path)
    if "{" not in path:
        return code_of(path)
    for name, value in {"epoch": f"{loop.epoch} + 1", **loop.values}.items():
        path = re.sub(rf"\{{{name}(?=[:}}])", f"{{{value}", path)
    return f"f{code_of(path)}"


def torch_file(path: str) -> str:
    """The name of a file of weights with torch's ending."""
    stem = next((path[: -len(s)] for s in SUFFIXES if path.endswith(s)), path)
    return stem if os.path.splitext(stem)[1] in (".pt", ".pth") else f"{stem}.pt"


class ReduceLROnPlateau(CallbackRule):
    """torch's own, which counts one step later and takes a relative threshold by default."""

    names = ("ReduceLROnPlateau",)
    signature = (
        "monitor='val_loss', factor=0.1, patience=10, verbose=0, mode='auto', min_delta=0.0001, cooldown=0, min_lr=0.0"
    )
    renames = {"epsilon": "min_delta"}
    changes_rate = True

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        value, sign = better(a, loop)
        patience, cooldown = a.const("patience"), a.const("cooldown")
        if patience < 1:
            raise Declined(TRAINING, "ReduceLROnPlateau without patience is not translated")
        if cooldown:
            raise Declined(TRAINING, "ReduceLROnPlateau with a cooldown is not translated")
        plateau = loop.take("plateau")
        mode = "" if sign == "<" else ", mode='max'"
        options = f"factor={code_of(a.factor)}, patience={patience - 1}, threshold={code_of(a.min_delta)}"
        least = f", min_lr={code_of(a.min_lr)}" if is_open(a.min_lr) or a.min_lr else ""
        made = (
            f"{plateau} = torch.optim.lr_scheduler.ReduceLROnPlateau({loop.optimizer}{mode}, {options}, "
            f"threshold_mode='abs'{least}, eps=0)"
        )
        return CallbackCode([made], end=[f"{plateau}.step({value})"])


class CSVLogger(CallbackRule):
    names = ("CSVLogger",)
    signature = "filename, separator=',', append=False"
    unsupported = {"append": "the file is written anew"}

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        log, writer = loop.take("log_file"), loop.take("log")
        if not (is_open(a.filename) or isinstance(a.filename, str)):
            raise Declined(TRAINING, "the file name cannot be evaluated")
        separator = "" if a.separator == "," else f", delimiter={code_of(a.separator)}"
        titles = ["epoch", *sorted(loop.values)]
        values = [loop.epoch, *(loop.values[t] for t in titles[1:])]
        return CallbackCode(
            [
                f"{log} = open({code_of(a.filename)}, 'w', newline='')",
                f"{writer} = csv.writer({log}{separator})",
                f"{writer}.writerow({titles!r})",
            ],
            end=[f"{writer}.writerow([{', '.join(values)}])", f"{log}.flush()"],
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

    names = ("TensorBoard",)
    signature = (
        "log_dir='logs', histogram_freq=0, write_graph=True, write_images=False, write_steps_per_second=False, "
        "update_freq='epoch', profile_batch=0, embeddings_freq=0, embeddings_metadata=None"
    )
    legacy = f"{signature}, batch_size=None, write_grads=False, embeddings_layer_names=None, embeddings_data=None"
    unsupported = {
        "histogram_freq": "no histograms are written",
        "embeddings_freq": "no embeddings are written",
        "update_freq": "numbers are written at the end of epochs only",
    }

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        if not (is_open(a.log_dir) or isinstance(a.log_dir, str)):
            raise Declined(TRAINING, "the folder cannot be evaluated")
        writer = loop.take("writer")
        return CallbackCode(
            [f"{writer} = SummaryWriter({code_of(a.log_dir)})"],
            end=[f"{writer}.add_scalar({title!r}, {value}, {loop.epoch})" for title, value in loop.values.items()],
            after=[f"{writer}.close()"],
            libraries={"SummaryWriter": "torch.utils.tensorboard"},
        )
