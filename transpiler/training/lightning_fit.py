"""Methods of a compiled model as what a Trainer of Lightning does."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from typing import Any

from transpiler.ir.model import KERAS3, ApiValue
from transpiler.ir.naming import Names
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.loaded_models import LOADED
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.read.keras.evaluate.values import Instance
from transpiler.rules.training.callbacks import CallbackCode, Loop
from transpiler.training.accelerated import PlainLoop
from transpiler.training.callbacks import callbacks_of
from transpiler.training.compiled import Training, beside, made_by_compile
from transpiler.training.data import Stream
from transpiler.training.edits import edited
from transpiler.training.loops import as_name
from transpiler.training.methods import MethodWriter, text_of
from transpiler.training.own_callbacks import own_callback
from transpiler.training.source import known_here
from transpiler.write.torch.layout import render


class LightningMethods(MethodWriter):
    """Writes `fit` and `evaluate` as what a Trainer of Lightning does; all else is as beside plain loops."""

    def fit_text(
        self, evaluation: TrainingCall, training: Training, arguments: dict[str, ast.expr], target: str | None
    ) -> str:
        file, node = self.file, evaluation.node
        names = Names(file.scopes.names_at(node) | frozenset(file.functions))
        model = file.receiver_of(node)
        lines = made_by_compile(file, training, model) if training.first is node else []
        train, held = self.streams(evaluation, training, arguments, names)
        streams = [s for s in (train, held) if s is not None]
        titles = [*training.trainer.titles, *(f"val_{t}" for t in training.trainer.titles if held is not None)]
        callbacks = callbacks_of(file, evaluation)
        rate = ""
        for i, (rule, _) in enumerate(callbacks):
            if getattr(rule, "restarts", False):
                raise PlainLoop(f"the callback {rule.names[0]}")
            if getattr(rule, "changes_rate", False):
                rate = "learning_rate" if file.generation == KERAS3 else "lr"
                if any(isinstance(r, Instance) or r.reads_all for r, _ in callbacks[i + 1 :]):
                    raise PlainLoop("a callback that reads a learning rate")
        hooks = [self.hook(rule, a, titles, training, evaluation) for rule, a in callbacks]
        if ends := [line for s in streams for line in s.end]:
            hooks.append(self.hook_class("EndOfEpoch", CallbackCode(end=ends), [], evaluation))
        logged = history = ""
        if target is not None:
            history = file.function("lightning_history", "History", rate=rate)
            logged = names.take("logged")
        first = text_of(arguments.get("initial_epoch"), "0")
        epochs = text_of(arguments.get("epochs"), "1")
        if first != "0" and hooks:
            raise PlainLoop("callbacks beside a first epoch of another number")
        return render(
            "training/lightning_fit",
            lines=[*lines, *(line for s in streams for line in s.lines)],
            history=target,
            history_class=history,
            logged=logged,
            callbacks=[*([logged] if logged else []), *hooks],
            epochs=epochs if first == "0" else f"{epochs} - {first}",
            quiet=known_here(evaluation, "verbose", "auto") == 0,
            trainer=names.take("trainer"),
            model=model,
            module=beside(training, node, training.module)[0],
            loaders=[self.loader(s) for s in streams],
        )

    def evaluate_text(self, evaluation: TrainingCall, training: Training, stream: Stream) -> str:
        titles = training.trainer.titles
        name = self.file.function("lightning_evaluate", "evaluate", titles=titles, summary=summary(titles))
        module = beside(training, evaluation.node, training.module)[0]
        if LOADED in evaluation.model.attributes:  # a model that nothing trains has no module yet
            unused = ["None" for part in (training.optimizer, training.scheduler) if part]
            module = f"{training.module_class}({', '.join([self.file.receiver_of(evaluation.node), *unused])})"
        return f"{name}({module}, {self.loader(stream)})"

    def loader(self, stream: Stream) -> str:
        """What a Trainer runs over in every epoch; an expression that is new for every epoch is evaluated for each."""
        if stream.epoch.isidentifier() or stream.epoch.startswith("DataLoader("):
            return stream.epoch
        self.file.own_function("Batches", render("training/lightning_batches"))
        self.file.takes("collections.abc", "Callable", "Iterator")
        return f"Batches(lambda: {stream.epoch})"

    def hook(self, rule: Any, a: Any, titles: Sequence[str], training: Training, evaluation: TrainingCall) -> str:
        """A callback: Lightning's own where it does the same, else one that does what a plain loop would do."""
        taken = Names(frozenset((*titles, "self", "trainer", "module", "epoch")))
        rising = frozenset(p + m.name for m in training.trainer.metrics if m.measure.rising for p in ("", "val_"))
        scheduler = "module.scheduler" if training.scheduler else ""
        values = {t: as_name(t) for t in titles}
        loop = Loop("module.model", "trainer.optimizers[0]", "epoch", values, rising, taken.take, scheduler)
        if isinstance(rule, Instance):
            return self.hook_class(f"{rule.cls.name}Hook", own_callback(rule, a, loop), titles, evaluation)
        own = rule.lightning(a, loop)
        if own is not None and not self.file.functions.keys() & own[1].keys():
            text, libraries = own
            for name, module in libraries.items():
                self.file.edit.dropped_names.add(name)
                self.file.edit.libraries[name] = module
            return str(text)
        return self.hook_class(rule.names[0], rule.lower(a, loop), titles, evaluation)

    def hook_class(self, name: str, act: CallbackCode, titles: Sequence[str], evaluation: TrainingCall) -> str:
        """A call of a class of callbacks that runs statements where a plain loop would."""
        file = self.file
        for library, module in act.libraries.items():
            file.takes(module, library)
        lines = {
            "on_train_start": act.before,
            "on_train_epoch_start": act.begin,
            "on_train_epoch_end": [*act.end, *act.stop],
            "on_train_end": act.after,
        }
        hooks = {hook: ast.parse("\n".join(texts)) for hook, texts in lines.items()}
        stored = [
            {n.id for n in nodes(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} for t in hooks.values()
        ]
        read = [
            {n.id for n in nodes(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)} for t in hooks.values()
        ]
        state = {
            n for i, s in enumerate(stored) for n in s if i == 0 or any(n in r for r in (*read[:i], *read[i + 1 :]))
        }
        scope = file.scopes.scope[evaluation.node]
        local = {n for r in read for n in r if (scope, n) in file.scopes.bound} if scope is not None else set()
        if local:
            raise PlainLoop(f"a callback that reads {', '.join(sorted(local))} of a function")
        texts = {}
        for hook, tree in hooks.items():
            if not tree.body:
                continue
            used = {n.id for n in nodes(tree) if isinstance(n, ast.Name)} - state
            heads = ["epoch = trainer.current_epoch"] if "epoch" in used else []
            heads += [f'{as_name(t)} = trainer.callback_metrics["{t}"].item()' for t in titles if as_name(t) in used]
            texts[hook] = [*heads, *in_method(lines[hook], tree, state).splitlines()]
        value = file.names_of_file.get(name)
        if name in file.edit.libraries:  # Lightning's own
            name = next(n for i in range(2, 100) if (n := f"{name}{i}") not in file.functions)
        elif value is None or isinstance(value, ApiValue):
            file.edit.dropped_names.add(name)
        else:
            name = file.names.take(name)
        text = render("training/lightning_callback", name=name, hooks=texts)
        while file.functions.get(name, text) != text:
            name = file.names.take(name)
            text = render("training/lightning_callback", name=name, hooks=texts)
        file.functions[name] = text
        return f"{name}()"


def in_method(lines: Sequence[str], tree: ast.Module, state: Collection[str]) -> str:
    """Statements as a method has them: variables in `state` are attributes, and the Trainer is asked to stop."""
    edits: dict[ast.AST, str] = {n: f"self.{n.id}" for n in nodes(tree) if isinstance(n, ast.Name) and n.id in state}
    edits |= {n: "trainer.should_stop = True" for n in nodes(tree) if isinstance(n, ast.Break)}
    return "\n".join(edited("\n".join(lines), s, {n: t for n, t in edits.items() if n in nodes(s)}) for s in tree.body)


def summary(titles: Sequence[str]) -> str:
    """What the numbers of an epoch are, in words."""
    return " and the ".join(titles) if len(titles) < 4 else "loss and the metrics"
