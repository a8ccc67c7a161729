"""The version of this program, as it is installed."""

from __future__ import annotations

from importlib import metadata


def tool_version() -> str:
    """Return the installed distribution's version, or "0+source" where it runs from a source tree."""
    try:
        return metadata.version("tenken")
    except metadata.PackageNotFoundError:
        return "0+source"
