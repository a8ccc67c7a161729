"""Runs git for reading: fixed, safe arguments, no pager, no network, nothing written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from engine.errors import InputError

_TIMEOUT = 120.0
_CONFIG = ("core.quotePath=false", "core.fsmonitor=false", "protocol.allow=never")
_OPTIONS = ("--no-pager", "--literal-pathspecs", *(part for item in _CONFIG for part in ("-c", item)))
_SETTINGS = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}


class Git:
    """git in one repository, run at the top of its work tree."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        # A hook's GIT_DIR and its kin must not lead to another repository.
        self._environment = {
            name: value for name, value in os.environ.items() if name[:4] != "GIT_"
        } | _SETTINGS
        if self.text("rev-parse", "--is-inside-work-tree") == "true\n":
            self.root = Path(os.fsdecode(self.output("rev-parse", "--show-toplevel").removesuffix(b"\n")))
        self._keep_index()

    def output(self, *arguments: str, stdin: bytes = b"", fine: tuple[int, ...] = (0,)) -> bytes:
        """Return what git prints; InputError with git's own message if its exit status is none of `fine`."""
        done = self._run(arguments, stdin)
        if done.returncode not in fine:
            message = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
            raise InputError(message or f"git {arguments[0]} failed in {self.root}")
        return done.stdout

    def text(self, *arguments: str, stdin: bytes = b"") -> str:
        """Return what git prints, with U+FFFD for bytes that are not UTF-8."""
        return self.output(*arguments, stdin=stdin).decode("utf-8", "replace")

    def succeeds(self, *arguments: str) -> bool:
        """Tell whether git ends with exit status 0."""
        return self._run(arguments, b"").returncode == 0

    def blobs(self, names: Iterable[str], limit: int) -> dict[str, bytes]:
        """Return the contents of the named blobs, those longer than `limit` bytes left out."""
        asked = "".join(f"{name}\n" for name in sorted(set(names)))
        rows = [
            row.split(" ")
            for row in self.text("cat-file", "--batch-check", stdin=asked.encode()).splitlines()
        ]
        small = [name for name, kind, *size in rows if kind == "blob" and int(size[0]) <= limit]
        printed = self.output("cat-file", "--batch", stdin="".join(f"{name}\n" for name in small).encode())
        contents, place = {}, 0
        for name in small:
            start = printed.index(b"\n", place) + 1
            size = int(printed[place : start - 1].split(b" ")[2])
            contents[name] = printed[start : start + size]
            place = start + size + 1
        return contents

    def _keep_index(self) -> None:
        """Use the index that `git commit` hands its hooks, if it is one of this repository."""
        index = os.environ.get("GIT_INDEX_FILE")
        if index is None:
            return
        folder = Path(self.text("rev-parse", "--absolute-git-dir").removesuffix("\n"))
        if (self.root / index).resolve().is_relative_to(folder.resolve()):
            self._environment["GIT_INDEX_FILE"] = str((self.root / index).resolve())

    def _run(self, arguments: tuple[str, ...], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        command = ["git", *_OPTIONS, *arguments]
        try:
            return subprocess.run(
                command,
                cwd=self.root,
                env=self._environment,
                input=stdin,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"git {arguments[0]} took longer than {_TIMEOUT:.0f} s in {self.root}"
            ) from error
        except NotADirectoryError as error:
            raise InputError(f"not a folder: {self.root}") from error
        except FileNotFoundError as error:
            missing = "git is not installed" if self.root.is_dir() else f"no such folder: {self.root}"
            raise InputError(missing) from error
