"""Reading and writing a state dict of the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transpiler.files import reason
from transpiler.weights.errors import Unreadable, Unsupported

ADVICE = "Save it with safetensors: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')."


def state_bytes(state: dict[str, Any], name: str = "") -> bytes:
    """A file of safetensors; one of `torch.save`, as scripts load it, where its name ends in .pt or .pth."""
    if name.endswith((".pt", ".pth")):
        import io

        import torch

        buffer = io.BytesIO()
        torch.save({key: torch.from_numpy(array) for key, array in state.items()}, buffer)
        return buffer.getvalue()
    from safetensors.numpy import save

    return save(state, {"format": "pt"})


def read_state(path: Path) -> dict[str, Any]:
    """The arrays of a safetensors file by key. Raises Unreadable or Unsupported."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(path, reason(error)) from None
    if data[:2] == b"PK" or data[:1] == b"\x80":
        raise Unsupported(path, "a file of torch.save could run anything, and is not read", ADVICE)
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Unreadable(path, f"no state dict of safetensors: {error}") from None
