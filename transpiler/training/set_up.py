"""What programs tell TensorFlow about the machine and about itself (memory, devices, sessions, logs): the result needs none of it."""

from __future__ import annotations

import ast

from transpiler.ir.trees import nodes
from transpiler.training.file import FileTraining

TELLING = frozenset(
    (
        *(
            f"keras.backend.{n}"
            for n in ("clear_session", "reset_uids", "set_session", "manual_variable_initialization")
        ),
        *(f"keras.utils.{n}" for n in ("clear_session", "disable_interactive_logging", "enable_interactive_logging")),
        *(f"keras.config.{n}" for n in ("disable_interactive_logging", "enable_interactive_logging")),
        *(f"tensorflow.{n}" for n in ("reset_default_graph", "enable_eager_execution", "disable_eager_execution")),
        *(f"tensorflow.{n}" for n in ("logging.set_verbosity", "autograph.set_verbosity", "enable_v2_behavior")),
        *(f"tensorflow.config.{n}" for n in ("run_functions_eagerly", "experimental_run_functions_eagerly")),
        *(f"tensorflow.config.{n}" for n in ("set_soft_device_placement", "set_logical_device_configuration")),
        *(f"tensorflow.config.optimizer.{n}" for n in ("set_jit", "set_experimental_options")),
        *(f"tensorflow.config.threading.set_{n}_op_parallelism_threads" for n in ("inter", "intra")),
        *(f"tensorflow.config.experimental.{n}" for n in ("set_memory_growth", "set_virtual_device_configuration")),
        "tensorflow.debugging.set_log_device_placement",
    )
)
"""Functions that are called for their effect on TensorFlow alone."""
CHOOSING = {
    "tensorflow.config.set_visible_devices": "Set CUDA_VISIBLE_DEVICES to choose among the devices.",
    "tensorflow.config.experimental.set_visible_devices": "Set CUDA_VISIBLE_DEVICES to choose among the devices.",
    "tensorflow.config.experimental.enable_op_determinism": "Call torch.use_deterministic_algorithms(True).",
}
"""Those whose effect somebody may want to have, and how torch has it."""
HELD = frozenset(
    (
        *(f"tensorflow.{n}" for n in ("ConfigProto", "GPUOptions", "Session", "InteractiveSession", "get_logger")),
        *(f"tensorflow.config.{n}" for n in ("list_physical_devices", "list_logical_devices")),
        *(f"tensorflow.config.experimental.{n}" for n in ("list_physical_devices", "list_logical_devices")),
        *(f"tensorflow.{n}" for n in ("global_variables_initializer", "initialize_all_variables")),
        "keras.backend.get_session",
    )
)
"""What is made, or asked for, only to be given to these."""
ANSWERS = {
    "tensorflow.test.is_gpu_available": "torch.cuda.is_available()",
    "tensorflow.test.is_built_with_cuda": "torch.backends.cuda.is_built()",
}
"""Questions about the machine → how torch is asked."""
VERSIONS = ("tensorflow.__version__", "keras.__version__", "tensorflow.version.VERSION")


class SetUp:
    """Takes such statements out of the code that stays."""

    def __init__(self, file: FileTraining) -> None:
        self.file = file
        self.statements = [s for s in file.scopes.statements() if s not in file.gone]
        self.names: dict[tuple[ast.AST | None, str], list[ast.stmt]] = {}
        """Variables that hold what is made for it, by their scopes → the statements that set them, or something of them."""

    def write(self) -> None:
        self.answer()
        self.find_names()
        gone = self.gone()
        while kept := self.read_elsewhere(gone):
            self.names = {n: found for n, found in self.names.items() if n not in kept}
            gone = self.gone()
        for statement in gone:
            for node in nodes(statement):
                path = self.file.path_of(node.func) if isinstance(node, ast.Call) else ""
                if path in CHOOSING:
                    self.file.note("K2T405", f"{ast.unparse(node.func)}() is left out", statement, advice=CHOOSING[path])  # type: ignore[attr-defined]
        self.file.edit.removed |= gone

    def answer(self) -> None:
        """Asks torch what the program asks TensorFlow."""
        for node in self.file.scopes.statement:
            if node in self.file.gone:
                continue
            text = ""
            if isinstance(node, ast.Call):
                counted = node.args[0] if ast.unparse(node.func) == "len" and len(node.args) == 1 else None
                text = ANSWERS.get(self.file.path_of(node.func), "")
                text = "torch.cuda.device_count()" if counted is not None and self.lists_gpus(counted) else text
            elif isinstance(node, ast.Attribute) and self.file.path_of(node) in VERSIONS:
                text = "torch.__version__"
            if text:
                self.file.replace_anywhere(node, text)

    def lists_gpus(self, node: ast.expr) -> bool:
        """Whether an expression asks for the graphics cards."""
        path = self.file.path_of(node.func) if isinstance(node, ast.Call) else ""
        kinds = [ast.unparse(a) for a in (*node.args, *(k.value for k in node.keywords))] if path else []  # type: ignore[attr-defined]
        return path.endswith("list_physical_devices") and kinds in (["'GPU'"], ['"GPU"'])

    def find_names(self) -> None:
        for statement in self.statements:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                continue
            target, scope = statement.targets[0], self.file.scopes.scope[statement]
            if isinstance(target, ast.Name) and self.holds(statement.value):
                self.names.setdefault((scope, target.id), []).append(statement)
        for statement in self.statements:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
            while isinstance(target, ast.Attribute):
                target = target.value
            key = (self.file.scopes.scope[statement], target.id) if isinstance(target, ast.Name) else None
            if key in self.names and statement not in self.names[key]:
                self.names[key].append(statement)
        for (scope, name), found in list(self.names.items()):
            if self.file.scopes.bound.get((scope, name), 0) != sum(isinstance(s.targets[0], ast.Name) for s in found):  # type: ignore[attr-defined]
                del self.names[scope, name]

    def holds(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and self.file.path_of(node.func) in HELD

    def gone(self) -> set[ast.stmt]:
        """The statements that go, without those inside of others."""
        setting = {s for found in self.names.values() for s in found}
        gone = {s for s in self.statements if s in setting or self.tells(s)}
        compound = [s for s in self.statements if isinstance(s, (ast.If, ast.For, ast.Try)) and self.goes(s, gone)]
        return {*gone, *compound} - {n for s in compound for n in nodes(s) if n is not s}  # type: ignore[return-value]

    def goes(self, statement: ast.stmt, gone: set[ast.stmt]) -> bool:
        """Whether a branch or a loop does nothing but tell TensorFlow something, and perhaps show what it has told."""
        inside = [n for n in nodes(statement) if isinstance(n, ast.stmt) and n is not statement]
        simple = [n for n in inside if not isinstance(n, (ast.If, ast.For, ast.Try))]
        parts = [n for s in (statement, *inside) for n in (getattr(s, "test", None), getattr(s, "iter", None)) if n]
        plain = all(self.holds(n) or ast.unparse(n.func) == "len" or self.file.path_of(n.func) in ANSWERS
                    for part in parts for n in nodes(part) if isinstance(n, ast.Call))  # fmt: skip
        return plain and any(s in gone for s in simple) and all(s in gone or self.shows(s) for s in simple)

    @staticmethod
    def shows(statement: ast.stmt) -> bool:
        called = statement.value if isinstance(statement, ast.Expr) else None
        return isinstance(statement, ast.Pass) or isinstance(called, ast.Call) and ast.unparse(called.func) == "print"

    def tells(self, statement: ast.stmt) -> bool:
        """Whether a statement only tells TensorFlow something."""
        call = statement.value if isinstance(statement, ast.Expr) else None
        if not isinstance(call, ast.Call):
            return False
        path = self.file.path_of(call.func).replace("keras.backend.tensorflow_backend.", "keras.backend.")
        if path in TELLING or path in CHOOSING:
            return True
        of = call.func.value if isinstance(call.func, ast.Attribute) else None
        held = isinstance(of, ast.Name) and (self.file.scopes.scope[statement], of.id) in self.names
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method == "setLevel":
            return held or of is not None and self.holds(of)
        started = all(isinstance(a, ast.Call) and self.holds(a) for a in call.args)
        return held and (method == "close" or method == "run" and started)

    def read_elsewhere(self, gone: set[ast.stmt]) -> set[tuple[ast.AST | None, str]]:
        """The variables that code which stays reads."""
        inside = {n for s in gone for n in nodes(s)}
        scopes = self.file.scopes
        return {
            key
            for n in scopes.scope
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n not in inside and n not in self.file.gone
            for key in ((scopes.scope[n], n.id), (None, n.id))
            if key in self.names
        }
