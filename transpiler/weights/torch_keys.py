"""The torch child: `python -m transpiler.weights.torch_keys JOB.json KEYS.json VALUES.npz`.

Builds the result of a conversion and tells, for every key of its state dict, which variable of Keras it comes from.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transpiler.verify.imports import brief
from transpiler.verify.job import read_job
from transpiler.verify.torch_model import Recorder, WeightsError, in_source_order, pair
from transpiler.verify.torch_side import build


def main(argv: list[str]) -> int:
    job, target, values = read_job(Path(argv[0])), Path(argv[1]), Path(argv[2])
    report: dict[str, Any] = {"stage": "build", "error": "", "keys": []}
    try:
        torch.manual_seed(0)
        recorder = Recorder([str(m.path) for m in job.converted])
        model, _ = build(job)
        report["stage"] = "pairing"
        made = in_source_order(model, recorder.made, {str(m.path): m.source_orders for m in job.converted})
        slots = {id(s.tensor): s for s in pair(model, made, job.units or ()).slots}
        kept: dict[str, np.ndarray] = {}
        for key, tensor in model.state_dict(keep_vars=True).items():
            slot = slots.get(id(tensor))
            row: dict[str, Any] = {"key": key, "shape": list(tensor.shape), "dtype": str(tensor.dtype).split(".")[-1]}
            if slot is None:
                kept[key] = tensor.detach().numpy()
            else:
                row |= {"unit": slot.unit, "source": slot.source, "transform": slot.weight.transform}
            report["keys"].append(row)
        np.savez(values, **kept)
        report["stage"] = "done"
    except WeightsError as error:
        report["error"] = str(error)
    except BaseException as error:  # whatever the generated code raised is a finding
        traceback.print_exc()
        report["error"] = brief(error)
    target.write_text(json.dumps(report), encoding="utf-8")
    return 0 if report["stage"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
