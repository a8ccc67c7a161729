"""The directories of all adapters, each called after its version: taken in, handed out and removed.

What is seen under a version's name is always the whole adapter. Which project uses it is the registry's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.adapter_checks import MAX_BYTES, check_content, check_entries
from engine.adapters import FILES, MANIFEST, Adapter, load_adapter
from engine.errors import AdapterConflict, AdapterError, StoreError

_INCOMING, _OUTGOING = ".incoming-", ".outgoing-"
_CHUNK = 2**20
_LOCK_SECONDS = 60


class AdapterFiles:
    """The adapter directories below `root`, for one process or several."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path_of(self, version: str) -> Path:
        """Return where that adapter is, or would be."""
        return self.root / version

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep everybody else from adding and removing directories."""
        from filelock import FileLock, Timeout

        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            with FileLock(self.root / ".lock", timeout=_LOCK_SECONDS):
                yield
        except Timeout as error:
            raise StoreError(f"{self.root} has been locked for {_LOCK_SECONDS} s; try again") from error
        except OSError as error:
            raise StoreError(f"{self.root}: {error.strerror}") from error

    def take_in(self, source: Path, prove: Callable[[Path], None] = lambda copy: None) -> Adapter:
        """Return our copy of the adapter in `source`, made if it is not here yet. Call it `locked`.

        `prove` is given the copy before it is seen under its name, and raises to have it dropped.
        """
        self._sweep()
        version = check_adapter(source).version
        target = self.path_of(version)
        if target.is_dir():
            prove(target)
            return load_adapter(target)
        scratch = Path(tempfile.mkdtemp(dir=self.root, prefix=_INCOMING))
        try:
            copy_adapter(source, scratch)
            # Only the copy counts: the source may have changed since it was read.
            if load_adapter(scratch).version != version:
                raise AdapterError(f"{source} changed while it was read")
            prove(scratch)
            scratch.chmod(0o755)
            scratch.replace(target)
            _flush(self.root)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return load_adapter(target)

    def hand_out(self, version: str, target: Path) -> Path:
        """Return `target`, made to hold a copy of that adapter."""
        adapter = load_adapter(self.path_of(version))
        if target.exists():
            raise AdapterConflict(f"{target} exists already")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=_OUTGOING) as scratch:
                made = Path(scratch) / target.name
                made.mkdir()
                copy_adapter(adapter.path, made)
                made.replace(target)
        except OSError as error:
            raise AdapterError(f"cannot write {target}: {error.strerror}") from error
        return target

    def remove(self, version: str) -> None:
        """Remove that adapter's directory, if it is there. Call it `locked`."""
        target = self.path_of(version)
        if target.is_dir():
            scratch = Path(tempfile.mkdtemp(dir=self.root, prefix=_OUTGOING))
            target.replace(scratch / version)
        self._sweep()

    def _sweep(self) -> None:
        for path in self.root.iterdir():
            if path.name.startswith((_INCOMING, _OUTGOING)):
                shutil.rmtree(path, ignore_errors=True)


def check_adapter(directory: Path) -> Adapter:
    """Return the adapter in `directory`; raises AdapterError unless it is whole and of the kind we serve."""
    check_entries(directory)
    adapter = load_adapter(directory)
    check_content(directory)
    return adapter


def copy_adapter(source: Path, target: Path) -> None:
    """Copy the files of an adapter, the manifest last, and have them on disk before returning."""
    for name in (*FILES, MANIFEST):
        _copy(source / name, target / name, MAX_BYTES[name])
    _flush(target)


def _copy(source: Path, target: Path, limit: int) -> None:
    descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor, "rb") as reading, target.open("xb") as writing:
        while chunk := reading.read(_CHUNK):
            if writing.tell() + len(chunk) > limit:
                raise AdapterError(f"{source} has more than {limit} bytes")
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())


def _flush(directory: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
