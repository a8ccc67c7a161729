"""The project of the demo: a shop, before and after a change with faults in it."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

_SUFFIX = ".txt"  # so that no tool takes them for code of this program


def sample(version: str) -> dict[str, str]:
    """Return the files of a version, `before` or `after`, by their path."""
    return dict(_walk(files("bot.demo") / "sample" / version))


def _walk(folder: Traversable, prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            found += _walk(entry, f"{path}/")
        elif path.endswith(_SUFFIX):
            found.append((path.removesuffix(_SUFFIX), entry.read_text("utf-8")))
    return found
