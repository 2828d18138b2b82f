"""Runs verification on hand-made conversions: a small Keras file, its PyTorch text and weight plan, right or wrong."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from transpiler.pipeline import Conversion, ConvertedModule, EntryPlan, WeightUnit
from transpiler.verify import Result, verify_conversion

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def verify(tmp_path: Path) -> Callable[..., Result]:
    """Verifies one model: Keras source, torch source, units; the entry is `build()` on both sides."""

    def run(
        keras: str,
        torch: str,
        units: Sequence[WeightUnit],
        expression: str = "build()",
        torch_expression: str | None = None,
        **options: object,
    ) -> Result:
        path = tmp_path / "net.py"
        path.write_text(textwrap.dedent(keras))
        plan = EntryPlan(expression, "", torch_expression or expression, "", "flat", tuple(units))
        module = ConvertedModule("net", path, textwrap.dedent(torch))
        (result,) = verify_conversion(Conversion([module], [plan]), path, **options)  # type: ignore[arg-type]
        return result

    return run
