"""What programs tell TensorFlow about the machine goes; what else they do with it is reported."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

SCRIPT = """
import numpy as np
import tensorflow as tf
from tensorflow.keras import backend as K
from tensorflow.keras import Input, Sequential
from tensorflow.keras.layers import Dense

{before}

def build():
    K.clear_session()
    return Sequential([Input((4,)), Dense(1)])

def fresh(seed):
    K.clear_session()
    np.random.seed(seed)

x = np.ones((6, 4))
for seed in range(2):
    fresh(seed)
    model = build()
    model.compile("sgd", "mse")
    model.fit(x, x[:, :1], verbose=0)
    {inside}
"""
MEMORY = """
gpus = tf.config.experimental.list_physical_devices("GPU")
if gpus:
    try:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        print(len(gpus), "GPUs")
    except RuntimeError as e:
        print(e)
"""
SESSION = """
config = tf.compat.v1.ConfigProto(log_device_placement=True)
config.gpu_options.allow_growth = True
session = tf.compat.v1.Session(config=config)
K.set_session(session)
session.run(tf.compat.v1.global_variables_initializer())
"""
LOGS = """
tf.get_logger().setLevel("ERROR")
tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
tf.config.run_functions_eagerly(True)
"""


def converted(tmp_path: Path, before: str = "", inside: str = "pass") -> tuple[str, list[str]]:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.replace("{before}", before).replace("{inside}", inside), encoding="utf-8")
    conversion = convert_file(path)
    return conversion.modules[0].text, [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


@pytest.mark.parametrize("before", ["", MEMORY, SESSION, LOGS])
def test_what_only_tells_tensorflow_something_goes(before: str, tmp_path: Path):
    text, errors = converted(tmp_path, before, "K.clear_session()")
    assert not errors and "def fresh(seed):\n    np.random.seed(seed)\n" in text
    assert not any(name in text for name in ("tensorflow", "tf.", "K.", "gpu", "session", "config"))


@pytest.mark.parametrize(
    ("before", "written"),
    [
        ('print("GPUs:", len(tf.config.list_physical_devices("GPU")))', 'print("GPUs:", torch.cuda.device_count())'),
        ('print(f"version {tf.__version__}")', 'print(f"version {torch.__version__}")'),
        ("if tf.test.is_gpu_available():\n    print(1)", "if torch.cuda.is_available():\n    print(1)"),
    ],
)
def test_torch_answers_for_tensorflow(before: str, written: str, tmp_path: Path):
    text, errors = converted(tmp_path, before)
    assert not errors and written in text


@pytest.mark.parametrize(
    "before",
    [
        f"{MEMORY}print(gpus)",
        f"{SESSION}session.run(np.ones(3))",
        "if np.random.rand() > 2:\n    tf.config.run_functions_eagerly(True)\n    tf.keras.utils.plot_model(3)",
        "K.set_floatx('float16')",
    ],
)
def test_what_does_more_is_reported(before: str, tmp_path: Path):
    assert converted(tmp_path, before)[1]


def test_what_somebody_may_want_is_noted(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.replace("{before}", "tf.config.set_visible_devices([], 'GPU')").replace("{inside}", "pass"))
    notes = [f for f in convert_file(path).all_findings if f.code == "K2T405"]
    assert [n.message for n in notes] == ["tf.config.set_visible_devices() is left out"]
