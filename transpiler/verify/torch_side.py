"""The torch child: `python -m transpiler.verify.torch_side JOB.json KERAS_OUT RESULT.json`.

Builds the result of the conversion, copies the Keras weights in, runs what the Keras child ran and compares.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transpiler.verify.compare import Difference, all_differences, bound, difference, gradient_bound
from transpiler.verify.draws import Draws
from transpiler.verify.imports import FRAMEWORKS, ConvertedSources, StubFinder, add_roots, brief, run_entry
from transpiler.verify.job import Job, read_job, script_of
from transpiler.verify.locate import first_divergence
from transpiler.verify.scripts import building_part
from transpiler.verify.signature import trace_inputs
from transpiler.verify.torch_fit import fitted
from transpiler.verify.torch_model import (
    Paired,
    Recorder,
    Slot,
    WeightsError,
    forward,
    in_source_order,
    load,
    pair,
    rates,
    restore,
    silence,
    tensors,
)

CHAOS = 0.05
DTYPES = {"float64": torch.float64, "float32": torch.float32}


def main(argv: list[str]) -> int:
    job, prefix, target = read_job(Path(argv[0])), argv[1], Path(argv[2])
    result: dict[str, Any] = {"ok": False, "stage": "build", "error": ""}
    try:
        _run(job, prefix, result)
        result["ok"] = True
    except WeightsError as error:
        result |= {"stage": "pairing", "error": str(error)}
    except BaseException as error:  # whatever the generated code raised is a finding, not a crash of the verifier
        traceback.print_exc()
        result["error"] = brief(error)
    target.write_text(json.dumps(result), encoding="utf-8")
    return 0 if result["ok"] else 1


def _run(job: Job, prefix: str, result: dict[str, Any]) -> None:
    torch.manual_seed(0)
    files = [f for f in (f"{prefix}.{d}.npz" for d in DTYPES) if Path(f).exists()]
    runs = [_read(file) for file in files]
    first_meta, first = runs[0]
    torch.set_default_dtype(DTYPES[first_meta["floatx"]])
    recorder = Recorder([str(m.path) for m in job.converted])
    model, stubs = build(job)
    result["stubs"], result["stage"] = stubs, "pairing"
    sources = {key[2:] for key in first if key.startswith("u|")}
    made = in_source_order(model, recorder.made, {str(m.path): m.source_orders for m in job.converted})
    paired = pair(model, made, job.units or (), dict.fromkeys(sources))
    result["notes"], result["trained_apart"] = paired.notes, trained_apart(paired, first_meta["trained"])
    result["stage"] = "run"
    noise = silence(model)
    check = Check(model, paired, first_meta, first, noise)
    result |= check.everything()
    for meta, arrays in runs[1:]:
        dtype = meta["floatx"]
        torch.set_default_dtype(DTYPES[dtype])
        model.to(DTYPES[dtype])
        merged = {**first, **arrays, "meta": None}
        conditions = {k: first_meta[k] for k in ("kappa", "training_kappa")}
        second = Check(model, paired, {**meta, **conditions}, merged, noise)
        second.allow_for_rounding(check)
        second.add_precision(result)
        model.to(DTYPES[first_meta["floatx"]])
    torch.set_default_dtype(DTYPES[first_meta["floatx"]])
    if "fit_missing" in first_meta:
        result["notes"] = [*result["notes"], f"the training was not compared: {first_meta['fit_missing']}"]
    if "fit_steps" in first_meta:
        with check.draws.in_torch():
            result["fitting"], same = check.guard(lambda: fitted(check, job))
        result["same"] = result["same"] and same
    if not result["same"]:
        load(paired, first)
        model.eval()
        whole = [first[f"in|0|{k}"] for k in range(len(first_meta["cases"][0]))]
        inputs = tensors(trace_inputs(whole, first_meta["trace_single"]), check.dtype)
        limit = 10 * bound(first_meta["floatx"], first_meta["kappa"])
        with check.draws.in_torch():
            found = first_divergence(model, paired, job.units or (), recorder, first_meta, first, inputs, limit)
        result["first_divergence"] = found if not result["forward_same"] else None


def trained_apart(paired: Paired, trained: Collection[str]) -> list[str]:
    """What to say of parameters that ask for gradients on one side only; `trained` are the sources of those of Keras."""
    apart: dict[bool, list[str]] = {True: [], False: []}
    for slot in paired.slots:
        if slot.is_parameter and slot.source and slot.tensor.requires_grad != (slot.key in trained):
            apart[slot.tensor.requires_grad].append(slot.name)
    said = {True: "trained in the result, frozen in Keras", False: "frozen in the result, trained in Keras"}
    return [
        f"{said[here]}: {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        for here, names in apart.items()
        if names
    ]


def _read(file: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with np.load(file) as data:
        arrays = {key: data[key] for key in data.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def build(job: Job) -> tuple[nn.Module, list[str]]:
    """The model of the result, and the packages that stand-ins took the place of."""
    training = job.training
    own = (training.epoch or training.module,) if training is not None else ()
    trains = (*own, "predict", "predict_batches")
    parts = [training.optimizer, *(["accelerator"] if training.around else [])] if training is not None else []
    needed = " + ".join([job.torch_expression, *parts])
    converted = ConvertedSources(
        {
            str(m.path): building_part(script_of(job, m.text), needed.format(model="model"), trains, bool(job.numbers))
            for m in job.converted
        },
        {m.name: str(m.path) for m in job.converted},
    )
    converted.install()
    frameworks, missing = StubFinder(FRAMEWORKS, converted.has), StubFinder(None, converted.has)
    sys.meta_path.insert(0, frameworks)
    sys.meta_path.append(missing)
    add_roots(job.roots)
    model = run_entry(job.module, job.torch_setup, job.torch_expression)
    if not isinstance(model, nn.Module):
        raise TypeError(f"{job.torch_expression} is a {type(model).__name__}, not an nn.Module")
    return model, sorted({n.partition(".")[0] for n in missing.names})


def same_rates(layers: Sequence[float], modules: Sequence[float], recurrent: Sequence[float]) -> bool:
    """Whether the dropout modules are those of the noise layers, and others only drop what recurrent layers drop."""
    rest = list(modules)
    for rate in layers:
        close = next((r for r in rest if np.isclose(r, rate)), None)
        if close is None:
            return False
        rest.remove(close)
    return all(any(np.isclose(r, known) for known in recurrent) for r in rest)


class Check:
    """One precision: the same runs as the Keras child's, and the differences."""

    def __init__(
        self, model: nn.Module, paired: Paired, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray], noise: Any
    ) -> None:
        self.model, self.paired, self.meta, self.arrays, self.noise = model, paired, meta, arrays, noise
        self.floatx: str = meta["floatx"]
        self.dtype = DTYPES[self.floatx]
        self.limit = bound(self.floatx, meta["kappa"])
        self.training_kappa = max(meta["kappa"], meta["training_kappa"])
        self.training_limit = bound(self.floatx, self.training_kappa)
        self.draws = Draws({d for call in (*meta["draws"], meta["training_draws"]) for d in call})

    def allow_for_rounding(self, exact: Check) -> None:
        """Widens the bounds by how far this precision moves Keras itself from what `exact` has.

        Conditioning is measured for one direction of the inputs, which says little of a net of hundreds of layers;
        and statistics of a small batch can make such a net chaotic in a way that no gradient shows.
        """
        self.limit = max(self.limit, self.rounding(exact, *(f"out|{c}" for c in range(len(self.meta["cases"])))))
        self.training_limit = max(self.training_limit, self.rounding(exact, "train"))

    def rounding(self, exact: Check, *prefixes: str) -> float:
        """Ten times the largest relative difference between the outputs of Keras in the two precisions."""
        moved = Difference()
        for prefix in prefixes:
            moved = moved.worst(all_differences(exact.keras(prefix), self.keras(prefix)))
        return 10 * moved.max_rel if not moved.problem and moved.max_rel < CHAOS else 0.0

    def inputs(self, case: int, grad: bool = False) -> list[Tensor]:
        shapes = self.meta["cases"][case]
        found = self.as_declared([self.arrays[f"in|{case}|{k}"] for k in range(len(shapes))])
        for k, x in enumerate(found):
            if grad and f"gradin|{k}" in self.arrays:
                x.requires_grad_(True)
        return found

    def as_declared(self, arrays: list[np.ndarray]) -> list[Tensor]:
        """Inputs as tensors; numbers of words are integers, for which Keras takes floats as well."""
        ids = self.meta.get("ids") or [False] * len(arrays)
        return tensors([a.astype(np.int64) if known else a for a, known in zip(arrays, ids)], self.dtype)

    def keras(self, prefix: str) -> list[np.ndarray]:
        found = []
        while f"{prefix}|{len(found)}" in self.arrays:
            found.append(self.arrays[f"{prefix}|{len(found)}"])
        return found

    def everything(self) -> dict[str, Any]:
        forward_row, forward_same = self.forward()
        training_row, training_same = self.guard(self.training)
        gradient_row, gradient_same = self.guard(self.gradients)
        return {
            "forward": forward_row,
            "training": training_row,
            "gradients": gradient_row,
            "forward_same": forward_same,
            "same": forward_same and training_same and gradient_same,
        }

    def guard(self, part: Callable[[], tuple[dict[str, Any], bool]]) -> tuple[dict[str, Any], bool]:
        """Runs one part; an exception of the result's own code is a mismatch of that part."""
        try:
            return part()
        except WeightsError:
            raise
        except Exception as error:
            traceback.print_exc()
            return {"error": f"{type(error).__name__}: {error}"[:600]}, False

    def add_precision(self, result: dict[str, Any]) -> None:
        """Adds outputs and training state in another precision to a result."""
        for part, run in (("forward", self.forward), ("training", self.training)):
            row, same = self.guard(run)
            result[part][self.floatx] = {k: v for k, v in row.items() if k not in ("cases", "noise")}
            result["same"] = result["same"] and same
            if part == "forward":
                result["forward_same"] = result["forward_same"] and same

    def outputs(self, inputs: list[Tensor], go_on: bool = False) -> list[Tensor]:
        """What the model makes of inputs where it draws the same random numbers as Keras."""
        with self.draws.in_torch():
            return forward(self.model, inputs, go_on=go_on)

    def forward(self) -> tuple[dict[str, Any], bool]:
        load(self.paired, self.arrays)
        self.model.eval()
        self.draws.taken()
        total, cases = Difference(), []
        for c, shapes in enumerate(self.meta["cases"]):
            row: dict[str, Any] = {"shapes": shapes}
            try:
                with torch.no_grad():
                    outputs = [y.detach().numpy() for y in self.outputs(self.inputs(c))]
                    if self.meta["stateful"]:
                        again = self.outputs(self.inputs(c), go_on=True)
                        outputs += [y.detach().numpy() for y in again]
                found = all_differences(self.keras(f"out|{c}"), outputs)
                drawn = self.draws.taken()
                if drawn != self.meta["draws"][c] and not found.problem:
                    problem = f"draws {drawn or 'nothing'}, Keras {self.meta['draws'][c] or 'nothing'}"
                    found = Difference(np.inf, np.inf, problem)
            except Exception as error:
                traceback.print_exc()
                found = Difference(np.inf, np.inf, f"{type(error).__name__}: {error}"[:600])
            cases.append(row | _numbers(found))
            total = total.worst(found)
        row = {
            "dtype": self.floatx,
            **_numbers(total),
            "bound": self.limit,
            "kappa": self.meta["kappa"],
            "cases": cases,
        }
        return row, total.within(self.limit)

    def training(self) -> tuple[dict[str, Any], bool]:
        """Training-mode outputs and state; noise off, its configuration compared."""
        noise = {"keras": self.meta["rates"], "torch": rates(self.noise)}
        same = same_rates(noise["keras"], noise["torch"], self.meta.get("recurrent_rates", ()))
        random = self.random_inference()
        same = same and random == self.meta["random_inference"]
        if not same:
            noise["differ"] = True
        load(self.paired, self.arrays)
        self.model.train()
        before = {slot.name: slot.tensor.detach().clone() for slot in self.paired.slots}
        try:
            with torch.no_grad():
                outputs = [y.detach().numpy() for y in self.outputs(self.inputs(0))]
        finally:
            self.model.eval()
        found = all_differences(self.keras("train"), outputs)
        state, state_same = self.state(before)
        row = {
            **_numbers(found),
            "bound": self.training_limit,
            "kappa": self.training_kappa,
            "state": state,
            "noise": noise,
        }
        if random != self.meta["random_inference"]:
            row["error"] = f"random at inference: Keras {self.meta['random_inference']}, torch {random}"
        if self.meta["training_random"]:
            row["error"] = "Keras is random in training mode although all noise is off: not compared"
            return row, same and state_same
        return row, same and state_same and found.within(self.training_limit)

    def random_inference(self) -> bool:
        if not self.noise:
            return False
        restore(self.noise)
        self.model.eval()
        case = len(self.meta["cases"]) - 1
        with torch.no_grad():
            a, b = (forward(self.model, self.inputs(case)) for _ in range(2))
        silence(self.model)
        return not all(torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(a, b))

    def state(self, before: Mapping[str, Tensor]) -> tuple[dict[str, Any], bool]:
        """State after a training call: as Keras has it, or with torch's unbiased running variance."""
        worst, same, variance, wrong = Difference(), True, set(), []
        for slot in self.paired.slots:
            if f"state|{slot.key}" not in self.arrays:
                if not torch.equal(before[slot.name], slot.tensor):
                    same = False
                    wrong.append(f"{slot.name} changes, {slot.source or 'nothing'} of Keras does not")
                continue
            actual = slot.tensor.detach().numpy()
            found = difference(slot.convert(self.arrays[f"state|{slot.key}"]), actual)
            if f"unbiased|{slot.key}" in self.arrays:
                unbiased = difference(slot.convert(self.arrays[f"unbiased|{slot.key}"]), actual)
                accepted = not found.within(self.training_limit) and unbiased.within(self.training_limit)
                variance.add("unbiased" if accepted else "as in Keras")
                found = unbiased if accepted else found
            if not found.within(self.training_limit):
                same = False
                wrong.append(f"{slot.name}: {found.problem or f'{found.max_rel:.1e}'}")
            worst = worst.worst(found)
        row = {"changed": self.meta["state_changes"], **_numbers(worst), "running_variance": sorted(variance)}
        return row | ({"wrong": wrong[:10]} if wrong else {}), same

    def gradients(self) -> tuple[dict[str, Any], bool]:
        """Gradients of every parameter and of the inputs, in both modes, against the largest one."""
        row: dict[str, Any] = {"dtype": self.floatx}
        same = True
        for mode, training in (("grad", False), ("tgrad", True)):
            if training and self.meta["training_random"]:
                continue
            limit = gradient_bound(self.floatx, self.training_kappa if training else self.meta["kappa"])
            found, worst, count = self.gradient(mode, training)
            name = "training" if training else "inference"
            row[name] = {**_numbers(found), "bound": limit, "worst": worst, "compared": count}
            same = same and found.within(limit)
        row["max_rel"] = max(row[m]["max_rel"] for m in ("training", "inference") if m in row)
        row["insensitive"] = self.meta.get("insensitive", [])
        return row, same

    def gradient(self, mode: str, training: bool) -> tuple[Difference, str, int]:
        load(self.paired, self.arrays)
        parameters = {slot.name: slot for slot in self.paired.slots if slot.is_parameter}
        frozen = [p for p in self.model.parameters() if not p.requires_grad]
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)
            parameter.grad = None
        self.model.train(training)
        inputs = self.inputs(0, grad=True)
        outputs = self.outputs(inputs)
        terms = [
            (y * torch.from_numpy(r).to(y.dtype)).sum()
            for y, r in zip(outputs, self.keras("R"))
            if y.dtype.is_floating_point and y.requires_grad
        ]
        if terms:
            torch.stack([t.double() for t in terms]).sum().backward()
        self.model.eval()
        pairs = self._gradient_pairs(mode, parameters, inputs)
        for parameter in frozen:
            parameter.requires_grad_(False)
        largest = max((float(np.abs(e[np.isfinite(e)]).max(initial=0.0)) for _, e, _ in pairs), default=0.0)
        found, worst = Difference(), ""
        for name, expected, actual in pairs:
            one = difference(expected, actual, largest)
            if one.problem or one.max_rel > found.max_rel:
                worst = name
            found = found.worst(one)
        return found, worst, len(pairs)

    def _gradient_pairs(
        self, mode: str, parameters: Mapping[str, Slot], inputs: list[Tensor]
    ) -> list[tuple[str, np.ndarray, np.ndarray]]:
        pairs, shared = [], {}
        for name, slot in parameters.items():
            if not slot.source:
                continue
            key = (slot.key, slot.weight.transform)
            grad = slot.tensor.grad
            actual = np.zeros(tuple(slot.tensor.shape)) if grad is None else grad.detach().numpy()
            shared.setdefault(key, []).append((name, slot, actual))
        for (source, _), group in shared.items():  # a variable that two parameters copy moves by both gradients
            name, slot, _ = group[0]
            pairs.append((name, slot.convert(self.arrays[f"{mode}|{source}"]), sum(a for _, _, a in group)))
        for k, x in enumerate(inputs):
            if f"{mode}in|{k}" in self.arrays:
                actual = np.zeros(tuple(x.shape)) if x.grad is None else x.grad.numpy()
                pairs.append((f"input {k}", self.arrays[f"{mode}in|{k}"], actual))
        return pairs


def _numbers(found: Difference) -> dict[str, Any]:
    row: dict[str, Any] = {"max_abs": found.max_abs, "max_rel": found.max_rel}
    return row | ({"problem": found.problem} if found.problem else {})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
