"""The benchmark over a manifest: its prelude runs as it stands, and every entry ends as a row."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "corpus.py"


@pytest.fixture
def corpus():
    spec = importlib.util.spec_from_file_location("corpus", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def source(tmp_path):
    package = tmp_path / "dist-1.0" / "pack" / "models"
    package.mkdir(parents=True)
    for init in (package.parent, package):
        (init / "__init__.py").write_text("raise RuntimeError('this package cannot be imported')\n")
    (package / "net.py").write_text("from absent.deep import Thing\n\nclass Mine(Thing):\n    value = 3\n")
    return tmp_path


def entry(**changes):
    base = {
        "id": "x.net",
        "package": "dist",
        "version": "1.0",
        "file": "pack/models/net.py",
        "flavor": "keras3",
        "paths": ["dist-1.0"],
        "setup": "",
        "builder": "m.Mine()",
    }
    return {**base, **changes}


@pytest.mark.parametrize(
    "setup", ["import pack.models.net as m", "m = byfile('dist-1.0/pack/models/net.py')"], ids=["import", "byfile"]
)
def test_the_prelude_skips_packages_and_stands_in_for_what_is_missing(corpus, source, setup, monkeypatch):
    for name in ("tensorflow", "keras"):
        fake = type(sys)(name)
        fake.backend = None
        monkeypatch.setitem(sys.modules, name, fake)
    code = corpus.prelude(entry(setup=setup, bypass=["pack", "pack.models"], stubs=["absent", "absent.deep"]), source)
    names: dict = {}
    try:
        exec(code, names)
        assert eval("m.Mine().value", names) == 3
        assert sys.modules["pack"].models is sys.modules["pack.models"]
    finally:
        for name in [
            n for n in sys.modules if n.partition(".")[0] in ("pack", "absent", "dist_1_0_pack_models_net_py")
        ]:
            del sys.modules[name]


def test_the_source_file_of_an_entry(corpus, source):
    assert corpus.source_file(entry(), source) == source / "dist-1.0/pack/models/net.py"
    with pytest.raises(FileNotFoundError):
        corpus.source_file(entry(file="pack/gone.py"), source)


def test_a_crash_and_a_hang_are_rows(corpus, source, tmp_path):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(json.dumps(entry(file="pack/gone.py")) + "\n")
    options = SimpleNamespace(manifest=manifest, convert_only=False, timeout=60)
    crashed = corpus.run_child(entry(file="pack/gone.py"), options, source)
    assert (crashed["status"], crashed["rows"]) == ("error", [])
    assert "FileNotFoundError" in crashed["reason"]
    options.timeout = 0.01
    hung = corpus.run_child(entry(), options, source)
    assert hung["reason"] == "no result within 0 s"


def test_the_table_ranks_reasons(corpus):
    def row(name, status, reason):
        return {"id": name, "status": status, "tier": "flat", "reason": reason, "seconds": 1.0, "quality": None}

    lines = corpus.table([row("a", "pass", ""), row("b", "declined", "K2T101 x"), row("c", "declined", "K2T101 x")])
    *_, share, _, reason = lines.splitlines()
    assert (share, reason) == ("1 of 3 verify (33%)", "   2  declined: K2T101 x")
