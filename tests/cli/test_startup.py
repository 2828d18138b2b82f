"""Start-up and shutdown of the real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from transpiler import __version__

HEAVY = {
    "libcst",
    "black",
    "jinja2",
    "rich",
    "torch",
    "tensorflow",
    "keras",
    "tf_keras",
    "numpy",
    "h5py",
    "safetensors",
}


def python(code: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, **options)


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["--version"], ["convert", "--help"], ["verify", "--help"], ["weights", "--help"]],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(argv):
    done = python(f"""
        import sys
        from transpiler.cli import main
        code = main({argv!r})
        print("MODULES", *sorted(name for name in sys.modules if "." not in name), file=sys.stderr)
        raise SystemExit(code)
    """)
    assert done.returncode == 0
    assert HEAVY.isdisjoint(done.stderr.split("MODULES")[1].split())
    assert "keras2torch" in done.stdout


@pytest.mark.parametrize("command", ["convert m.py", "coverage"])
def test_converting_never_imports_a_framework(tmp_path, command):
    (tmp_path / "m.py").write_text("import keras\nmodel = keras.Sequential([keras.layers.Dense(3)])\n")
    argv = [str(tmp_path / "m.py") if word == "m.py" else word for word in command.split()]
    done = python(f"""
        import sys
        from transpiler.cli import main
        main({argv!r})
        print("MODULES", *sorted(name for name in sys.modules if "." not in name), file=sys.stderr)
    """)
    loaded = set(done.stderr.split("MODULES")[1].split())
    assert "transpiler" in loaded
    assert not loaded & {"torch", "tensorflow", "keras", "tf_keras", "numpy", "h5py", "safetensors"}


def test_python_dash_m():
    done = subprocess.run([sys.executable, "-m", "transpiler", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"keras2torch {__version__}\n")


def test_no_command_shows_the_help(run):
    result = run()
    assert result.code == 2
    assert "convert" in result.err


def test_ctrl_c_leaves_no_output_and_exits_130(tmp_path):
    source, out = tmp_path / "m.py", tmp_path / "out.py"
    source.write_text("import keras\n")
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(source), str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"converting\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"interrupted" in err and b"Traceback" not in err
    assert os.listdir(tmp_path) == ["m.py"]


WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it from the start
from transpiler import cli, pipeline
def convert_file(path, **options):
    print("converting", flush=True)
    time.sleep(60)
pipeline.convert_file = convert_file
sys.exit(cli.main(["convert", sys.argv[1], "-o", sys.argv[2]]))
"""


def test_a_closed_pipe_is_no_traceback(tmp_path: Path):
    source = tmp_path / "m.py"
    source.write_text("# keras2torch: skip\n" + "x = 1\n" * 200_000)
    command = f"'{sys.executable}' -m transpiler convert '{source}' | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout == "# keras2torch: skip\n"
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
