"""The documentation says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from transpiler.cli import app
from transpiler.diagnostics import CODES, Finding, Severity, Span
from transpiler.report.run import Outcome, Status
from transpiler.verify import Result


def test_every_code_has_its_section_in_order(root: Path):
    headings = re.findall(r"^## (K2T\d{3}) (\S+)$", (root / "docs" / "findings.md").read_text(), flags=re.MULTILINE)
    assert headings == list(CODES.items())


@pytest.mark.parametrize("code", CODES)
def test_a_section_says_what_why_and_what_to_do(root: Path, code: str):
    text = (root / "docs" / "findings.md").read_text()
    section = re.split(r"^## ", text.split(f"## {code} ", 1)[1], flags=re.MULTILINE)[0]
    assert re.findall(r"^\*\*(.+?)\.\*\* \S", section, flags=re.MULTILINE) == ["What", "Why", "What to do"]


@pytest.mark.parametrize("command", ["convert", "verify", "weights"])
def test_the_readme_names_every_option(root: Path, command: str):
    readme = (root / "README.md").read_text()
    for parameter in app.commands[command].params:
        for option in parameter.opts if parameter.param_type_name == "option" else ():
            assert re.search(rf"`[^`\n]*(?<![\w-]){re.escape(option)}(?![\w-])", readme) or option in SHORT, option


SHORT = {"--output", "--quiet"}
"""Spellings that the README gives another form of."""


def test_the_layer_shown_to_contributors_is_the_real_one(root: Path):
    section = (root / "CONTRIBUTING.md").read_text().split("## Adding a layer", 1)[1].split("\n## ")[0]
    shown = re.search(r"```python\n(.*?)\n```", section, flags=re.DOTALL)[1]
    file = (root / "transpiler" / "rules" / "normalization.py").read_text()
    assert shown == next(
        part.rstrip() for part in re.split(r"\n(?=class )", file) if part.startswith(shown.split("(")[0])
    )
    rows = re.findall(r"^ *`(\| `.*\|)`", section, flags=re.MULTILINE)
    assert len(rows) == 1 and rows[0] in (root / "docs" / "coverage.md").read_text().splitlines()


def test_links_of_the_documentation_lead_somewhere(root: Path):
    pages = [*root.glob("*.md"), *(root / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert len(pages) > 3 and not broken


def test_ci_does_what_the_readme_says(root: Path):
    readme = (root / "README.md").read_text()
    script = (root / ".ci" / "run").read_text()
    commands = re.findall(r"^(?:pip install|keras2torch convert samples)[^#\n]*$", readme, flags=re.MULTILINE)
    steps = [
        part.strip() for command in commands for part in command.split("&&") if not re.search("verify|weights", part)
    ]
    assert steps == ["pip install .", "keras2torch convert samples/resnet_keras.py", 'pip install ".[test]"', "pytest"]
    for step in steps:
        assert re.search(rf"^{re.escape(step.replace('install', 'install -q'))}", script, flags=re.MULTILINE), step


@pytest.mark.parametrize(
    ("heading", "item"),
    [
        ("## `convert`", Outcome("m.py", Status.CONVERTED)),
        ("## `verify`", Result("model", "pass")),
        ("## A finding", Finding("K2T003", Severity.NOTE, "", span=Span("m.py", 1))),
    ],
    ids=["convert", "verify", "finding"],
)
def test_the_json_page_names_every_key(root: Path, heading: str, item: Outcome | Result | Finding):
    section = (root / "docs" / "json.md").read_text().split(heading, 1)[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(first_cells)) == list(item.to_json())


def test_the_readme_shows_the_sample_of_training_code(root: Path):
    shown = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), flags=re.S)
    for name in ("training_keras.py", "training_torch.py"):
        text = (root / "samples" / name).read_text()
        assert any(part in text for part in shown if "epochs" in part), name
