"""Where the files that travel with the package are."""

from __future__ import annotations

from pathlib import Path


def template_dir() -> Path:
    """The folder of the Jinja2 templates: inside an installed package, at the top of the repository in a checkout.

    Raises FileNotFoundError if the package was built without them.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "templates", package.parent / "templates"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no templates beside {package}: the installation is incomplete")
