"""`keras2torch convert DIR`: the layout is kept, classes stand where their functions stood, and the result runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "net/__init__.py": "from .models import build\n\n__all__ = ['build']\n",
    "net/blocks/__init__.py": "from .conv import conv_block, Scale\n\n__all__ = ['conv_block', 'Scale']\n",
    "net/blocks/conv.py": """\
from keras.layers import BatchNormalization, Conv2D, Layer, ReLU


def conv_block(x, filters, stride=1):
    x = Conv2D(filters, 3, strides=stride, padding="same")(x)
    return ReLU()(BatchNormalization()(x))


class Scale(Layer):
    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.scale
""",
    "net/models.py": """\
import keras
from keras.layers import Dense, GlobalAveragePooling2D

from .blocks.conv import Scale, conv_block
from .sizes import doubled


def build(classes=3, depth=2):
    inputs = x = keras.Input((32, 32, 3))
    for level in range(depth):
        x = conv_block(x, doubled(8, level), 2)
    return keras.Model(inputs, Dense(classes)(GlobalAveragePooling2D()(Scale()(x))))
""",
    "net/other.py": """\
import keras
from keras.layers import Conv2D, Flatten

from net.blocks.conv import conv_block


def other():
    inputs = keras.Input((16, 16, 3))
    x = Conv2D(4, 3, strides=2, padding="same")(conv_block(inputs, 4, 2))
    return keras.Model(inputs, Flatten()(x))
""",
    "net/sizes.py": "def doubled(n, times):\n    return n * 2**times\n",
    "net/labels.txt": "cat\ndog\n",
    "run.py": "import torch\n\nfrom net import build\n\nprint(tuple(build(5)(torch.zeros(2, 32, 32, 3)).shape))\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "source" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "source"


def test_the_files_of_a_folder_are_converted_together(run, project, tmp_path):
    out = tmp_path / "out"
    result = run("convert", project, "-o", out)
    assert (result.code, result.out) == (0, b"")
    assert result.err.endswith("5 files converted, 3 unchanged\n")
    found = {str(f.relative_to(out)) for f in out.rglob("*") if f.is_file()}
    assert found == {*FILES, "net/torch_helpers.py"}
    for name in ("net/labels.txt", "net/sizes.py", "net/__init__.py", "run.py"):
        assert (out / name).read_text() == FILES[name]
    conv = (out / "net/blocks/conv.py").read_text()
    assert conv.count("class ConvBlock") == 1 and "class Scale(nn.Module)" in conv
    assert "from ..torch_helpers import Conv2dSame" in conv
    assert (
        out / "net/blocks/__init__.py"
    ).read_text() == 'from .conv import Scale, ConvBlock\n\n__all__ = ["ConvBlock", "Scale"]\n'
    models = (out / "net/models.py").read_text()
    assert "from .blocks.conv import Scale, ConvBlock" in models and "class " not in models.split("class Build")[0]
    assert "from .sizes import doubled" in models
    shown = subprocess.run([sys.executable, "run.py"], cwd=out, capture_output=True, text=True)
    assert (shown.returncode, shown.stdout) == (0, "(2, 5)\n"), shown.stderr
    both = "import torch, net.other; print(tuple(net.other.other()(torch.zeros(2, 16, 16, 3)).shape))"
    shown = subprocess.run([sys.executable, "-c", both], cwd=out, capture_output=True, text=True)
    assert (shown.returncode, shown.stdout) == (0, "(2, 64)\n"), shown.stderr


def test_a_file_that_cannot_be_converted_is_named_and_the_others_are_written(run, project, tmp_path):
    (project / "net/broken.py").write_text("import keras\n\ndef f(:\n")
    (project / "net/odd.py").write_text("import keras\n\nkeras.utils.plot_model(3)\nkeras.backend.clear_session()\n")
    result = run("convert", project, "-o", tmp_path / "out")
    assert result.code == 2
    assert "net/broken.py" in result.err and "net/odd.py: not converted" in result.err
    assert (tmp_path / "out/net/models.py").exists() and not (tmp_path / "out/net/broken.py").exists()


def test_files_that_ask_to_be_left_alone_are_copied(run, project, tmp_path):
    text = "# keras2torch: skip\nimport keras\n"
    (project / "net/legacy.py").write_text(text)
    (project / "net/empty.py").write_text("\n")
    assert run("convert", project, "-o", tmp_path / "out").code == 0
    assert (tmp_path / "out/net/legacy.py").read_text() == text and (tmp_path / "out/net/empty.py").read_text() == "\n"


def test_a_folder_is_checked_without_writing(run, project):
    before = {f: f.read_bytes() for f in project.rglob("*") if f.is_file()}
    assert run("convert", project, "--check").code == 1
    assert {f: f.read_bytes() for f in project.rglob("*") if f.is_file()} == before
    assert run("convert", project, "--in-place").code == 0
    assert (project / "net/torch_helpers.py").exists()
    assert run("convert", project, "--check").code == 0


def test_the_source_is_no_place_for_the_result(run, project):
    result = run("convert", project, "-o", project)
    assert result.code == 2 and "is the source itself" in result.err
    assert run("convert", project).code == 2
