"""Where files are: addresses and paths, the repository that a file is in, and how the editor names both.

Paths inside are real, with no symbolic link in them: that is how git names them. What is published carries
the name that the editor uses. A file's lines are those that an editor would show.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pygls.uris import from_fs_path, to_fs_path

from engine.errors import InputError
from engine.git import Git
from lsp.lines import split_lines

_READ_LIMIT = 2**23


@dataclass(frozen=True, slots=True)
class Repository:
    """A git work tree. `logs` is written by git at every commit, checkout and rebase."""

    root: Path
    logs: tuple[Path, ...]

    def path_of(self, file: Path) -> str | None:
        """Return how git names a real path, None where it is elsewhere."""
        return PurePosixPath(file.relative_to(self.root)).as_posix() if self.holds(file) else None

    def holds(self, file: Path) -> bool:
        """Tell whether a real path is in this work tree."""
        return file.is_relative_to(self.root)

    def stamp(self) -> tuple[int, ...]:
        """Return what differs after a commit, a checkout or a rebase."""
        return tuple(_changed_at(path) for path in self.logs)


def find_repository(folder: Path) -> Repository | None:
    """Return the work tree around a real folder, None where there is none. Blocks: runs git."""
    try:
        git = Git(folder)
        if git.text("rev-parse", "--is-inside-work-tree").strip() != "true":
            return None
        directory = Path(git.text("rev-parse", "--absolute-git-dir").removesuffix("\n"))
    except InputError:
        return None
    return Repository(real(git.root), (directory / "HEAD", directory / "logs" / "HEAD"))


def real(path: Path) -> Path:
    """Return a path without symbolic links."""
    return Path(os.path.realpath(path))


def path_of(uri: str) -> Path | None:
    """Return the real path that an address names, None where it names no file of this machine."""
    found = to_fs_path(uri)
    return real(Path(found)) if found and os.path.isabs(found) else None


def uri_of(path: Path, folders: Iterable[str]) -> str:
    """Return the editor's address of a real path: below a folder that it has open, by its name for that."""
    for folder in folders:
        named = to_fs_path(folder)
        if named and path.is_relative_to(at := real(Path(named))):
            return from_fs_path(str(Path(named) / path.relative_to(at))) or ""
    return from_fs_path(str(path)) or ""


def read_lines(path: Path) -> list[str] | None:
    """Return a file's lines as an editor would show them, None where it cannot be read or is too big."""
    try:
        if path.stat().st_size > _READ_LIMIT:
            return None
        return split_lines(path.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff"))
    except OSError:
        return None


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
