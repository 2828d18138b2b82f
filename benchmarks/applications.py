#!/usr/bin/env python3
"""The manifest of all models of `keras.applications` and `tf_keras.applications`, for `corpus.py` and `weights.py`: applications.py

They are those of the installed packages, without weights and with ten classes, at the smallest size of images that they take; SRC is the
folder that the packages are in, which `applications.py --src` prints.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GENERATIONS = {"keras3": "keras", "tf_keras": "tf_keras"}
SIZES = {"inception_resnet_v2": 75, "inception_v3": 75, "xception": 71}
"""Modules → the smallest size of images (`min_size` in their source), where that is not 32."""


def source_folder() -> Path:
    """The folder with the installed packages, which are not imported for it."""
    found = importlib.util.find_spec("keras")
    if found is None or found.origin is None:
        raise SystemExit("keras is not installed")
    return Path(found.origin).parents[1]


def applications() -> Iterator[dict[str, Any]]:
    """The entries of the manifest, small models first."""
    found = [entry for flavor, package in GENERATIONS.items() for entry in _of_package(flavor, package)]
    yield from sorted(found, key=lambda e: any(big in e["id"] for big in ("Large", "320", "V2L")))


def _of_package(flavor: str, package: str) -> Iterator[dict[str, Any]]:
    listing = source_folder() / package / "applications" / "__init__.py"
    for node in ast.parse(listing.read_text(encoding="utf-8")).body:
        path = node.module.split(".") if isinstance(node, ast.ImportFrom) and node.module else []
        if "src" not in path:  # a module of the public names
            continue
        assert isinstance(node, ast.ImportFrom)
        module = path[-1]
        size = SIZES.get(module, 32)
        for alias in node.names:
            yield {
                "id": f"{package}.{alias.name}",
                "package": package,
                "version": "",
                "file": f"{'/'.join(path)}.py",
                "flavor": flavor,
                "setup": f"from {'.'.join(path[:-1])} import {module}",
                "builder": f"{module}.{alias.name}(weights=None,input_shape=({size},{size},3),classes=10)",
                "paths": ["."],
                "int_high": 5,
            }


if __name__ == "__main__":
    if sys.argv[1:] == ["--src"]:
        print(source_folder())
    else:
        for line in applications():
            print(json.dumps(line))
