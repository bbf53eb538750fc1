"""Golden files: what the platform says about itself, written down. Read their diff as you would read code."""

import os
from pathlib import Path


def check_golden(file: Path, text: str) -> None:
    """Compare with what is written down; `UPDATE_GOLDEN=1 make test` writes it down anew."""
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert file.exists() and text == file.read_text(), f"{file.name} differs: run UPDATE_GOLDEN=1 and read the diff"
