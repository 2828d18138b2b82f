"""What verification found out about one entry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PASS, FAIL, DECLINED, ERROR = "pass", "fail", "declined", "error"


@dataclass
class Result:
    """The evidence for one entry.

    `forward` has {dtype, max_abs, max_rel, bound, kappa, cases, float32}; `training` the same of training mode with
    {state, noise}; `gradients` {max_rel, bound, inference, training, insensitive}. Errors are relative to the largest
    value of the output, gradients to the largest gradient of the model. `trained_apart` says which parameters ask for
    gradients on one side only: what is trained is up to the training code, so that is no mismatch.
    """

    entry: str
    status: str
    tier: str | None = None
    parameters: int | None = None
    forward: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    gradients: dict[str, Any] = field(default_factory=dict)
    fitting: dict[str, Any] = field(default_factory=dict)
    """{steps, max_rel, bound, logs, weights}: the numbers of each step of the training, and the weights after it."""
    first_divergence: dict[str, Any] | None = None
    trained_apart: list[str] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def reason(self) -> str:
        """One line on why this is not a pass; empty if it is."""
        if self.status == PASS:
            return ""
        if self.status == FAIL:
            return self._mismatch()
        errors = [f for f in self.findings if f.get("severity") == "error"]
        return " ".join(_one_line(f) for f in (errors or self.findings)[:1])

    def _mismatch(self) -> str:
        parts = []
        for part, row in (
            ("outputs", self.forward),
            ("training", self.training),
            ("gradients", self.gradients),
            ("steps", self.fitting),
        ):
            problem = _problem(row)
            if problem:
                parts.append(f"{part}: {problem}")
        where = self.first_divergence
        if where:
            parts.append(f"first at {where['keras_class']} {where['layer']!r} ({where['part']})")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        return {
            "entry": self.entry,
            "status": self.status,
            "tier": self.tier,
            "parameters": self.parameters,
            "forward": _finite(self.forward),
            "training": _finite(self.training),
            "gradients": _finite(self.gradients),
            "fitting": _finite(self.fitting),
            "first_divergence": _finite(self.first_divergence),
            "trained_apart": self.trained_apart,
            "assumptions": self.assumptions,
            "findings": self.findings,
            "seconds": round(self.seconds, 2),
        }


def _problem(row: Mapping[str, Any]) -> str:
    """What is wrong in one part, or nothing."""
    for one in (row, row.get("float32") or {}, row.get("inference") or {}, *(row.get("cases") or ())):
        if one.get("error") or one.get("problem"):
            return str(one.get("error") or one["problem"])
    texts = []
    modes = [(f" in {mode}", row[mode]) for mode in ("inference", "training") if mode in row]
    for name, one in (("", row), (" in float32", row.get("float32") or {}), *modes):
        if one.get("max_rel", 0.0) > one.get("bound", math.inf):
            texts.append(f"relative error {one['max_rel']:.1e}{name} (bound {one['bound']:.1e})")
        if (one.get("state") or {}).get("wrong"):
            texts.append(f"state{name}: {one['state']['wrong'][0]}")
    noise = row.get("noise") or {}
    if noise.get("differ"):
        texts.append(f"noise rates {noise['torch']} instead of {noise['keras']}")
    return ", ".join(texts)


def _one_line(finding: Mapping[str, Any]) -> str:
    return f"{finding.get('code', '')} {finding.get('message', '')}".strip()


def _finite(value: Any) -> Any:
    """The value with infinities, which JSON does not have, as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
