"""What training code becomes, where it is not run beside the original: the lines that matter."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

SOURCES = Path(__file__).parent / "sources"
CASES = {
    "steps_by_hand": (
        "self.optimizer = Adam(self.model.parameters(), lr=2e-3, betas=(0.5, 0.999))",
        "loss = run_epoch(\n                self.model,",
        "print(predict(self.model, x[:2]))",
    ),
    "rates_by_hand": ('for group in optimizer.param_groups:\n    group["lr"] = 1e-05',),
    "compiled_twice": ("optimizer2 = torch.optim.SGD(m.parameters(), lr=1e-3)", "train_loss = run_epoch2(m,"),
    "saved": (
        'if os.path.exists("w.pt"):\n    model.load_state_dict(torch.load("w.pt", weights_only=True))',
        "target.load_state_dict(model.state_dict())",
        'torch.save(model.state_dict(), f"m{1}.pt")',
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_source_becomes_these_lines(name: str):
    conversion = convert_file(SOURCES / f"{name}.py", generation="keras3")
    assert not [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    for lines in CASES[name]:
        assert lines in conversion.modules[0].text


def test_nothing_of_a_group_is_translated_where_a_part_is_not(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(
        (SOURCES / "compiled_twice.py").read_text().replace("m.fit(x, y)\nm.compile", "m.fit(x, y, **{})\nm.compile")
    )
    conversion = convert_file(path, generation="keras3")
    messages = [f.message for f in conversion.all_findings if f.code == "K2T401"]
    assert any("with * or **" in m for m in messages)
    assert "Adam(" not in conversion.modules[0].text
