"""What is installed is what works: the wheel, in a fresh environment without torch and TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from transpiler import __version__

FRAMEWORKS = ("torch", "tensorflow", "keras", "tf_keras", "numpy")


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", str(root), "--no-deps", "--no-build-isolation", "-q", "-w", folder]
    subprocess.run(command, check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment that has the wheel and what it requires to run, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-q"]
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    for name in runtime_requirements("keras2torch", wheel):
        link_distribution(name, site)
    return folder


def runtime_requirements(name: str, wheel: Path) -> set[str]:
    """The distributions that the wheel needs, theirs included, extras left out."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        pending = requirements(metadata.PathDistribution(zipfile.Path(archive, path.rsplit("/", 1)[0] + "/")).requires)
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending |= requirements(metadata.distribution(name).requires)
    return found


def requirements(lines: list[str] | None) -> set[str]:
    parsed = [Requirement(line) for line in lines or []]
    return {r.name for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})}


def link_distribution(name: str, site: Path) -> None:
    """Makes an installed distribution visible in another environment, without the network."""
    distribution = metadata.distribution(name)
    tops = {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}
    for top in tops:
        target = site / top
        if not target.exists():
            target.symlink_to(Path(str(distribution.locate_file(top))))


def run(environment: Path, *argv: object, **options) -> subprocess.CompletedProcess[str]:
    command = [str(environment / "bin" / "keras2torch"), *map(str, argv)]
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(command, capture_output=True, text=True, env=env, **options)


def test_the_wheel_holds_code_and_templates_and_no_tests(wheel: Path, root: Path):
    names = zipfile.ZipFile(wheel).namelist()
    templates = [path.relative_to(root).as_posix() for path in (root / "templates").rglob("*") if path.is_file()]
    assert templates
    assert not {f"transpiler/{name}" for name in templates} - set(names)
    assert "transpiler/cli.py" in names
    assert {name.split("/")[0] for name in names} == {"transpiler", f"keras2torch-{__version__}.dist-info"}


def test_only_the_extras_name_a_framework(wheel: Path):
    assert runtime_requirements("keras2torch", wheel).isdisjoint(FRAMEWORKS)


def test_the_installed_command_answers(environment: Path):
    done = run(environment, "--version")
    assert (done.returncode, done.stdout) == (0, f"keras2torch {__version__}\n")


def test_the_environment_has_no_framework(environment: Path):
    code = f"import importlib.util as u; print([n for n in {FRAMEWORKS!r} if u.find_spec(n)])"
    command = [str(environment / "bin" / "python"), "-I", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_installed_package_finds_its_templates(environment: Path):
    code = "import transpiler.resources as r; print(r.template_dir())"
    command = [str(environment / "bin" / "python"), "-I", "-c", code]
    folder = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    assert folder.is_relative_to(environment) and folder.is_dir()


def test_verify_without_the_extra_says_what_to_install(environment: Path, root: Path):
    done = run(environment, "verify", root / "samples" / "sequential_cnn_keras.py")
    assert done.returncode == 2
    assert "keras2torch[verify]" in done.stderr


@pytest.mark.parametrize("name", ["sequential_cnn", "resnet"])
def test_the_installed_command_converts_a_sample(environment: Path, root: Path, tmp_path: Path, name: str):
    out = tmp_path / "out.py"
    done = run(environment, "convert", root / "samples" / f"{name}_keras.py", "-o", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert out.read_text() == (root / "samples" / f"{name}_torch.py").read_text()


def test_the_pre_commit_hook_runs_on_staged_files(environment: Path, root: Path, tmp_path: Path):
    (hook,) = yaml.safe_load((root / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"].split()[0] == "keras2torch"
    clean, keras = tmp_path / "clean.py", root / "samples" / "resnet_keras.py"
    clean.write_text("x = 1\n")
    arguments = hook["entry"].split()[1:]
    assert run(environment, *arguments, clean, clean).returncode == 0
    done = run(environment, *arguments, clean, keras)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"would convert {keras}" in done.stderr
