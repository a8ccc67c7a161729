"""Which project a work tree belongs to, by the path that its remote has on the server."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import InputError
from engine.git import Git

_SCP = re.compile(r"(?:[^/@]+@)?[^/:@]{2,}:(?P<path>[^/].*)")  # one letter before the colon is a drive
_URL = re.compile(r"(?:https?|ssh|git|git\+ssh)://[^/]+/(?P<path>.+)")


def project_of(folder: Path) -> str | None:
    """Return e.g. `group/app` for the repository around `folder`, or None where no remote says so.

    That is `origin`, or the only remote there is.
    """
    try:
        git = Git(folder)
        names = git.text("remote").split()
        name = "origin" if "origin" in names else names[0] if len(names) == 1 else None
        return project_from_url(git.text("remote", "get-url", name).strip()) if name else None
    except InputError:
        return None


def project_from_url(url: str) -> str | None:
    """Return the path of the project that a remote's URL names, or None for a directory or a file."""
    match = _URL.fullmatch(url) or _SCP.fullmatch(url)
    if match is None:
        return None
    path = match["path"].strip("/").removesuffix(".git")
    return path if 0 < len(path) <= 255 else None
