"""The Keras child: `python -m transpiler.verify.keras_side JOB.json OUT`.

Writes OUT.json (what happened) and, for each precision that ran, OUT.<precision>.npz with weights by unit and
attribute path, inputs, outputs, training state and gradients. Each precision runs in a fork of its own: what is
computed first cannot colour what comes second, and TensorFlow is imported once.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from transpiler.verify import live
from transpiler.verify.draw import ATTEMPTS, acceptable, calibrate, linear_output, randomise
from transpiler.verify.draws import Draws
from transpiler.verify.imports import ConvertedSources, StubFinder, add_roots, brief
from transpiler.verify.job import Job, read_job, script_of
from transpiler.verify.keras_fit import fit
from transpiler.verify.keras_model import (
    BatchStatistics,
    BuildError,
    Gradients,
    Subject,
    build,
    conditioning,
    gradients,
    set_floatx,
)
from transpiler.verify.promote import exact_constants, promote
from transpiler.verify.scripts import building_part
from transpiler.verify.signature import signature, trace_inputs

SEED = 20240
INSENSITIVE = 1e-6
FAMILY = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout", "GaussianNoise")  # fmt: skip
"""Layers whose noise is compared as configuration."""


class PairingError(Exception):
    """The layers of the live model are not the ones the conversion planned for."""


def main(argv: list[str]) -> int:
    job, out = read_job(Path(argv[0])), argv[1]
    keras = live.import_framework(job.generation)
    attempts: list[dict[str, Any]] = []
    for floatx, promoted in (("float64", False), ("float64", True), ("float32", False)):
        done = any(a["ok"] for a in attempts)
        if done and promoted and not attempts[0]["single"]:
            continue
        attempts.append(
            _forked(keras, job, floatx, promoted, out, f"{out}.float64.npz" if done and not promoted else None)
        )
        if attempts[-1]["stage"] == "pairing":
            break
    Path(out + ".json").write_text(json.dumps(attempts), encoding="utf-8")
    return 0 if any(a["ok"] for a in attempts) else 1


def _forked(keras: ModuleType, job: Job, floatx: str, promoted: bool, out: str, draw: str | None) -> dict[str, Any]:
    """Runs one precision in a fork; returns {floatx, ok, stage, error}."""
    note = Path(f"{out}.{floatx}.{promoted}.json")
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        report = {"floatx": floatx, "promoted": promoted, "ok": True, "stage": "build", "error": "", "single": False}
        try:
            _run(keras, job, floatx, out, draw, report)
        except BaseException as error:  # the fork must end here, whatever the user's program raised
            traceback.print_exc()
            report |= {
                "ok": False,
                "error": str(error) if isinstance(error, (BuildError, PairingError)) else brief(error),
            }
        note.write_text(json.dumps(report), encoding="utf-8")
        sys.stderr.flush()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if not note.exists():
        return {
            "floatx": floatx,
            "promoted": promoted,
            "ok": False,
            "stage": "crash",
            "error": f"the process ended with status {status}",
            "single": False,
        }
    return json.loads(note.read_text(encoding="utf-8"))


SINGLE = re.compile(
    r"float32|\btf\.(constant|fill|linspace|convert_to_tensor|random\.(normal|uniform|truncated_normal))\b"
)


def names_single(job: Job) -> bool:
    """Whether the program may make float32: its constants are then rounded even where its layers are float64."""
    files = {getattr(m, "__file__", None) for m in list(sys.modules.values())}
    roots = tuple(os.path.realpath(r) + os.sep for r in job.roots)
    own = [f for f in files if f and f.endswith(".py") and os.path.realpath(f).startswith(roots)]
    return any(SINGLE.search(Path(f).read_text(encoding="utf-8", errors="replace")) for f in own)


def _run(keras: ModuleType, job: Job, floatx: str, out: str, draw: str | None, report: dict[str, Any]) -> None:
    missing = StubFinder(None)
    sys.meta_path.append(missing)
    add_roots(job.roots)
    set_floatx(keras, job.generation, floatx)
    if floatx == "float64":
        exact_constants()
    if report["promoted"]:
        promote(keras)
    library = tuple(os.path.dirname(os.path.realpath(m.__file__ or "")) for m in _libraries(keras, job))
    text = Path(job.path).read_text(encoding="utf-8", errors="replace")
    needed = [job.expression, *([job.training.compiles.format(model="model")] if job.training is not None else [])]
    if (part := building_part(script_of(job, text), "\n".join(needed), always=bool(job.numbers))) != text:
        ConvertedSources({job.path: part}, {}).install()
    recorder = live.Recorder(keras, lambda file: not file.startswith("<") and not file.startswith(library))
    subject = build(keras, job, floatx, recorder)
    report["single"] = names_single(job)
    report["stage"] = "pairing"
    units = in_plan_order(live.unit_layers(subject.model, keras, recorder.log), job)
    sources = pair(units, job, subject.model)
    report["stage"] = "run"
    arrays: dict[str, np.ndarray] = {}
    stubs = sorted({name.partition(".")[0] for name in missing.names})
    meta: dict[str, Any] = {"floatx": floatx, "stubs": stubs, "parameters": _count(subject.model)}
    meta["units"] = [
        {"class": type(u.layer).__name__, "name": u.layer.name, "file": u.file, "line": u.line} for u in units
    ]
    noise = live.silence(subject.model)
    attention = [x for x in live.all_layers(subject.model) if type(x).__name__.endswith("Attention")]
    inside = {id(x) for a in attention if not live.is_of_program(type(a)) for x in live.direct_layers(a)}
    meta["rates"] = sorted(v for layer, _, v in noise if _is_noise(layer) and id(layer) not in inside)
    meta["recurrent_rates"] = sorted({v for layer, attribute, v in noise if attribute == "dropout"})
    work = Work(subject, units, sources, arrays, meta)
    with work.draws.in_tensorflow():
        work.load_draw(draw) if draw else work.make_draw()
        work.forward()
    work.noise_at_inference(noise)
    with work.draws.in_tensorflow():
        work.training()
        if draw is None:
            work.trace()
            work.derivatives()
            if job.training is not None and job.steps:
                fit(work, job)
    arrays["meta"] = np.array(json.dumps(meta))
    np.savez(f"{out}.{floatx}.npz", **arrays)
    report |= {"stage": "done", "kappa": meta.get("kappa"), "draw": meta.get("draw")}
    report |= {"parameters": meta["parameters"], "stubs": meta["stubs"]}


def _libraries(keras: ModuleType, job: Job) -> list[ModuleType]:
    import tensorflow as tf

    own = Path(job.path).resolve()
    modules = [keras, tf, np, sys.modules[__package__]]
    return [m for m in modules if Path(m.__file__ or "").resolve().parent not in own.parents]


def _count(model: Any) -> int:
    return int(sum(np.prod(tuple(v.shape)) for v in {id(v): v for v in model.weights}.values()))


def _is_noise(layer: Any) -> bool:
    """Whether a layer is one of Keras's noise layers, or derives from one."""
    return any(c.__name__ in FAMILY for c in type(layer).__mro__)


def in_plan_order(units: list[live.Construction], job: Job) -> list[live.Construction]:
    """Live layers, given in the order of their construction, in the order of the plan's units."""
    if job.units is None or len(units) != len(job.units):
        return units
    planned = sorted(range(len(units)), key=lambda i: job.units[i].place)  # type: ignore[index]
    return [unit for _, unit in sorted(zip(planned, units), key=lambda pair: pair[0])]


def pair(units: list[live.Construction], job: Job, model: Any) -> dict[str, Any]:
    """Key `unit|source` → variable, for every variable the conversion planned for.

    Raises PairingError, listing both sides, unless units and live layers agree one to one in order, class and
    explicit name, every source exists, and every variable of the model has its place.
    """
    if job.units is None:
        return {}
    planned = [f"{u.keras_class}{f' {u.name!r}' if u.name else ''}" for u in job.units]
    actual = [f"{type(u.layer).__name__} {u.layer.name!r}" for u in units]
    for i in range(max(len(planned), len(actual))):
        expected, unit = (job.units[i] if i < len(planned) else None), (units[i] if i < len(actual) else None)
        same = expected and unit and expected.keras_class == type(unit.layer).__name__
        if not same or (expected.name and unit and expected.name != unit.layer.name):
            raise PairingError(_both_sides(i, planned, actual))
    found: dict[str, Any] = {}
    for i, (expected, unit) in enumerate(zip(job.units, units)):
        for module in expected.modules:
            for weight in module.values():
                if weight.source:
                    variable = live.variable_at(unit.layer, weight.source)
                    if variable is not None:
                        found[f"{i}|{weight.source}"] = variable
                    elif not weight.optional:
                        raise PairingError(
                            f"{actual[i]} has no variable {weight.source!r}, which the conversion expects"
                        )
    left_out = [
        live.variable_at(unit.layer, name) for expected, unit in zip(job.units, units) for name in expected.unused
    ]
    used = {id(v) for v in (*found.values(), *left_out)}
    unused = [getattr(v, "path", v.name) for v in live.float_weights(model) if id(v) not in used]
    if unused:
        raise PairingError(f"variables of the Keras model without a place in the result: {', '.join(unused[:20])}")
    return found


def _both_sides(at: int, planned: list[str], actual: list[str]) -> str:
    lines = [f"layer {at + 1} of the plan is not layer {at + 1} of the live model; planned | live:"]
    for i in range(max(0, at - 3), min(max(len(planned), len(actual)), at + 8)):
        left = planned[i] if i < len(planned) else "-"
        right = actual[i] if i < len(actual) else "-"
        lines.append(f"  {'>' if i == at else ' '} {i + 1}: {left} | {right}")
    return "\n".join([*lines, f"  ({len(planned)} planned, {len(actual)} live)"])


class Work:
    """The measurements of one precision, collected in `arrays` and `meta`."""

    def __init__(self, subject: Subject, units: list[Any], sources: dict[str, Any], arrays: Any, meta: Any) -> None:
        self.subject, self.units, self.sources = subject, units, sources
        self.arrays, self.meta = arrays, meta
        self.variables = live.float_weights(subject.model)
        self.cases: list[list[np.ndarray]] = []
        self.draws = Draws()

    def make_draw(self) -> None:
        """Draws weights and inputs until they can tell right from wrong; keeps the best if none can."""
        best: tuple[float, int, str] | None = None
        for attempt in range(len(ATTEMPTS)):
            kappa, problem = self._attempt(attempt)
            if not problem:
                self._keep(kappa, "")
                return
            one = (kappa if np.isfinite(kappa) else 1e300, attempt, problem)
            best = min(best or one, one)
        assert best is not None
        kappa, problem = self._attempt(best[1])
        self._keep(kappa, problem)

    def _attempt(self, attempt: int) -> tuple[float, str]:
        rng = np.random.default_rng(SEED + attempt)
        gain, self.scale = ATTEMPTS[attempt]
        shapes = self.subject.cases()
        whole = [attempt == 0 or case > 0 for case in range(len(shapes))]  # which may make NaN of a mean over no steps
        self.cases = [self.subject.draw(s, rng, self.scale, whole=w) for s, w in zip(shapes, whole)]
        randomise(self.subject.model, rng, gain)
        first = self.cases[0]
        calibrate(self.subject.model, lambda: self.subject.call(first), self.subject.recorder, rng, gain)
        found, self.directions = gradients(self.subject, first, None, self.variables, False)
        self.inference = found
        kappa = conditioning(found, self.variables)
        return kappa, acceptable(found.outputs, kappa)

    def _keep(self, kappa: float, problem: str) -> None:
        self.meta |= {"kappa": kappa, "draw": problem}
        self._second_size()
        for i, v in enumerate(self.variables):
            self.arrays[f"w|{i}"] = v.numpy().astype(np.float32)
        for c, case in enumerate(self.cases):
            for k, x in enumerate(case):
                self.arrays[f"in|{c}|{k}"] = x
        for key, variable in self.sources.items():
            self.arrays[f"u|{key}"] = variable.numpy().astype(np.float32)

    def _second_size(self) -> None:
        for shapes in self.subject.other_sizes():
            case = self.subject.draw(shapes, np.random.default_rng(SEED + 50), self.scale)
            try:
                self.subject.call(case)
            except Exception as error:  # the model does not take this size; that is no mistake of anyone
                self.meta["size_rejected"] = f"{[list(s) for s in shapes]}: {type(error).__name__}"
                continue
            self.cases.append(case)
            return

    def load_draw(self, file: str) -> None:
        """Takes over the weights and inputs of the first precision."""
        with np.load(file) as data:
            for i, v in enumerate(self.variables):
                v.assign(data[f"w|{i}"].astype(v.numpy().dtype))
            live.take_up_weights(self.subject.model)
            keys = sorted(
                (k for k in data.files if k.startswith("in|")), key=lambda k: tuple(map(int, k.split("|")[1:]))
            )
            for key in keys:
                case = int(key.split("|")[1])
                while len(self.cases) <= case:
                    self.cases.append([])
                self.cases[case].append(data[key])

    def forward(self) -> None:
        self.meta["stateful"] = bool(self.subject.stateful)
        self.draws.taken()
        self.meta["draws"] = []
        for c, case in enumerate(self.cases):
            outputs = self.subject.call(case)
            if self.meta["stateful"]:  # whose states show in the next call
                outputs = [*outputs, *self.subject.apply(self.subject.pack(case), False, go_on=True)]
            for k, y in enumerate(outputs):
                self.arrays[f"out|{c}|{k}"] = np.asarray(y)
            self.meta["draws"].append(self.draws.taken())
        self.meta["cases"] = [[list(x.shape) for x in case] for case in self.cases]
        self.meta["ids"] = [p.ids is not None or self.subject.spec.all_ids for p in self.subject.ports]
        self.meta["outputs"] = _output_names(self.subject)
        trained = {id(v) for v in self.subject.model.trainable_weights}
        self.meta["trained"] = [key for key, variable in self.sources.items() if id(variable) in trained]

    def noise_at_inference(self, noise: list[tuple[Any, str, Any]]) -> None:
        """Whether the model is random at inference, as legacy Keras is with `Dropout(...)(x, training=True)`."""
        if not noise:
            self.meta["random_inference"] = False
            return
        live.restore(noise)
        case = self.cases[-1]
        a, b = (self.subject.call(case) for _ in range(2))
        self.meta["random_inference"] = not all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b))
        live.silence(self.subject.model)

    def training(self) -> None:
        """Outputs in training mode with noise off, and what that does to the state."""
        first = self.cases[0]
        before = {id(v): v.numpy() for v in self.variables}
        statistics = BatchStatistics(self.subject.model)
        self.subject.recorder.observer = statistics
        outputs = [np.asarray(y) for y in self.subject.call(first, training=True)]
        self.subject.recorder.observer = None
        self.meta["training_draws"] = self.draws.taken()
        changed = {id(v): v.numpy() for v in self.variables if not np.array_equal(v.numpy(), before[id(v)])}
        for key, variable in self.sources.items():
            if id(variable) in changed:
                self.arrays[f"state|{key}"] = changed[id(variable)]
                if id(variable) in statistics.running:
                    self.arrays[f"unbiased|{key}"] = statistics.running[id(variable)]
        last, runs = self.cases[-1], []
        for _ in range(2):  # from one state: a layer may change its weights in training
            for v in self.variables:
                v.assign(before[id(v)])
            runs.append(self.subject.call(last, training=True))
        pairs = zip(*runs)
        for v in self.variables:
            v.assign(before[id(v)])
        self.meta["training_random"] = not all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)
        self.meta["state_changes"] = len(changed)
        for k, y in enumerate(outputs):
            self.arrays[f"train|{k}"] = y

    def derivatives(self) -> None:
        for k, direction in enumerate(self.directions):
            self.arrays[f"R|{k}"] = direction
        before = {id(v): v.numpy() for v in self.variables}
        trained, _ = gradients(self.subject, self.cases[0], self.directions, self.variables, True)
        for v in self.variables:
            v.assign(before[id(v)])
        self.meta["training_kappa"] = conditioning(trained, self.variables)
        self.meta["insensitive"] = self._insensitive(trained)
        for mode, found in (("grad", self.inference), ("tgrad", trained)):
            for key, variable in self.sources.items():
                self.arrays[f"{mode}|{key}"] = found.by_variable[id(variable)]
            for k, g in found.inputs.items():
                self.arrays[f"{mode}in|{k}"] = g

    def _insensitive(self, trained: Gradients) -> list[str]:
        """The weights that hardly matter to the outputs in either mode: nothing is proved about them."""
        size = np.sqrt(sum(float((o.astype(np.float64) ** 2).sum()) for o in trained.outputs if o.dtype.kind == "f"))
        found = []
        for v in self.variables:
            gradients = (self.inference.by_variable[id(v)], trained.by_variable[id(v)])
            if max(float(np.linalg.norm((g * v.numpy()).ravel())) for g in gradients) < INSENSITIVE * size:
                found.append(getattr(v, "path", v.name))
        return found

    def trace(self) -> None:
        """Fingerprints of what goes in and out of every outer layer, in the order of execution."""
        index = {id(u.layer): i for i, u in enumerate(self.units)}
        outer = {id(c.layer): c for c in self.subject.recorder.log if not c.nested}
        steps: list[dict[str, Any]] = []

        def observer(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
            construction = outer.get(id(layer))
            if construction is None or isinstance(layer, self.subject.keras.Model) or not args:
                return call(*args, **kwargs)
            step = {"unit": index.get(id(layer), -1), "class": type(layer).__name__, "name": layer.name}
            step |= {"file": construction.file, "line": construction.line}
            steps.append(step)
            n = len(steps) - 1
            if step["unit"] >= 0:
                self._note(f"tin|{n}", args[0])
                if hasattr(layer, "activation") and not hasattr(layer, "cell"):
                    self._note(f"tpre|{n}", linear_output(layer, call, args, kwargs))
            result = call(*args, **kwargs)
            self._note(f"tout|{n}", result)
            return result

        single = self.subject.spec.code is None and not self.subject.stateful
        self.subject.recorder.observer = observer
        try:
            self.subject.call(trace_inputs(self.cases[0], single))
        finally:
            self.subject.recorder.observer = None
        self.meta |= {"trace": steps, "trace_single": single}

    def _note(self, key: str, value: Any) -> None:
        first = value[0] if isinstance(value, (list, tuple)) and value else value
        if hasattr(first, "numpy"):
            self.arrays[key] = signature(first)


def _output_names(subject: Subject) -> list[str] | None:
    """The keys of a dictionary output, in the order outputs are kept."""
    struct = getattr(subject.model, "_outputs_struct", None)
    if struct is None:
        struct = getattr(subject.model, "_nested_outputs", None)
    return sorted(struct) if isinstance(struct, dict) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
