"""Files and directories that are built once into the user's cache and then reused by every process."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from engine.errors import EngineError, ModelError, unimportable


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Return `tenken` under the user's cache directory; creates nothing."""
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tenken"


def build_once(
    target: Path, build: Callable[[Path], None], *, error: type[EngineError] = ModelError, fresh: bool = False
) -> Path:
    """Return `target`, made by `build(path)` where it is missing, or always where `fresh`.

    Whoever comes second waits and reuses. `build` writes a file or fills a directory at a path beside the
    target, which is renamed when it returns, so nothing half done is ever seen under the target's name.
    A directory that cannot be written or a full disk is raised as `error`, with what to do.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_name(f"{target.name}.lock")):
            if fresh or not target.exists():
                _build(target, build)
    except OSError as failure:
        raise error(_explain(target, failure)) from failure
    return target


def _lock(path: Path) -> AbstractContextManager[object]:
    try:
        from filelock import FileLock
    except ImportError as missing:
        raise unimportable(missing, "filelock", "cpu") from missing
    return FileLock(path)


def _build(target: Path, build: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        made = Path(scratch) / target.name
        build(made)
        if target.is_dir():
            shutil.rmtree(target)
        made.replace(target)


def _explain(target: Path, failure: OSError) -> str:
    if failure.errno == errno.ENOSPC:
        return f"no space left for {target}; free some, or set ENGINE_CACHE_DIR to another disk"
    if failure.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return f"cannot write {target}: {failure.strerror}; set ENGINE_CACHE_DIR to a writable directory"
    return f"cannot write {target}: {failure}"
