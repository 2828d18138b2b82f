"""Callbacks that go on where a training was interrupted, and that tell a server of it."""

from __future__ import annotations

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, is_open
from transpiler.ir.model import Args
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.callbacks import CallbackCode, CallbackRule, Loop


class BackupAndRestore(CallbackRule):
    """A file of weights, of the optimizer and of the next epoch, until the training is over."""

    names = ("BackupAndRestore",)
    signature = "backup_dir, save_freq='epoch', double_checkpoint=False, delete_checkpoint=True"
    legacy = "backup_dir, save_freq='epoch', delete_checkpoint=True, save_before_preemption=False"
    unsupported = {
        "save_freq": "files are written at the end of epochs only",
        "double_checkpoint": "there is one file, of the last epoch",
        "save_before_preemption": "belongs to training on several machines",
    }
    restarts = True

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        folder = a.backup_dir
        if not (is_open(folder) or isinstance(folder, str)):
            raise Declined(TRAINING, "the folder cannot be evaluated")
        backup, state = loop.take("backup"), loop.take("state")
        path = f"os.path.join({code_of(folder)}, 'latest.pt')"
        parts = {"model": loop.model, "optimizer": loop.optimizer}
        if loop.scheduler:
            parts["scheduler"] = loop.scheduler
        saved = [f"{name!r}: {part}.state_dict()" for name, part in parts.items()]
        code = CallbackCode(
            [
                f"{backup} = {path}",
                f"{loop.first} = {loop.initial}",
                f"if os.path.exists({backup}):",
                f"    {state} = torch.load({backup}, weights_only=True)",
                *(f"    {part}.load_state_dict({state}[{name!r}])" for name, part in parts.items()),
                f"    {loop.first} = {state}['epoch']",
                f"os.makedirs({code_of(folder)}, exist_ok=True)",
            ],
            end=[
                f"{state} = {{{', '.join([*saved, f'{chr(39)}epoch{chr(39)}: {loop.epoch} + 1'])}}}",
                f"torch.save({state}, {backup})",
            ],
        )
        if a.const("delete_checkpoint"):
            code.after = [f"if os.path.exists({backup}):", f"    os.remove({backup})"]
        return code


class RemoteMonitor(CallbackRule):
    """The numbers of each epoch, sent to a server."""

    names = ("RemoteMonitor",)
    signature = (
        "root='http://localhost:9000', path='/publish/epoch/end/', field='data', headers=None, send_as_json=False"
    )

    reads_all = True

    def lower(self, a: Args, loop: Loop) -> CallbackCode:
        known = all(isinstance(a.get(name), str) for name in ("root", "path", "field"))
        if not known or not isinstance(a.headers, (dict, type(None))):
            raise Declined(TRAINING, "arguments of a RemoteMonitor that cannot be evaluated are not translated")
        numbers = f"{{'epoch': {loop.epoch}, {loop.logs[1:]}"
        data = f"json={numbers}" if a.const("send_as_json") else f"{{{a.field!r}: json.dumps({numbers})}}"
        headers = "" if a.headers is None else f", headers={a.headers!r}"
        end = [
            "try:",
            f"    post({a.root + a.path!r}, {data}{headers})",
            "except RequestException:",
            f"    warnings.warn({f'Could not reach RemoteMonitor root server at {a.root}'!r})",
        ]
        return CallbackCode(end=end, libraries={"post": "requests", "RequestException": "requests"})
