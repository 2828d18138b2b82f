"""Statements of training code that share a line with others."""

from pathlib import Path

from transpiler.pipeline import convert_file

SCRIPT = """
import numpy as np
from keras import Input, Sequential
from keras.layers import Dense

x, y = np.ones((6, 4)), np.ones((6, 1))
model = Sequential([Input((4,)), Dense(1)])
model.compile("sgd", "mse"); print("compiled")
first = 1; h = model.fit(x, y, verbose=0); last = 2
for i in range(2): model.fit(x, y, verbose=0); print(i)
if first: best = last; model.save_weights("best.weights.h5")
"""


def test_statements_beside_others_keep_their_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    done = convert_file(path, generation="keras3")
    (module,) = done.modules
    text = module.text
    compile(text, "converted", "exec")
    assert '\nprint("compiled")\nfirst = 1\n' in text
    assert "\nlast = 2\nfor i in range(2):\n    train_loader" in text
    assert "    print(i)\nif first:\n    best = last\n    torch.save(model.state_dict(), " in text
