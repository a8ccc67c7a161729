"""What is built once is whole, built once, and fails with a word of advice."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from threading import Thread

import pytest

from engine.cache import build_once, default_cache
from engine.errors import AdapterError, ModelError


def test_default_follows_the_users_cache_directory(tmp_path: Path) -> None:
    """XDG_CACHE_HOME is obeyed; an empty one does not count."""
    assert default_cache({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "tenken"
    assert default_cache({"XDG_CACHE_HOME": ""}) == Path.home() / ".cache" / "tenken"


def test_built_once(tmp_path: Path) -> None:
    """A second call reuses the file of the first; `fresh` makes it anew."""
    target = tmp_path / "deep" / "file"
    build_once(target, lambda path: _write(path, "first"))
    build_once(target, lambda path: _write(path, "second"))
    assert target.read_text() == "first"
    build_once(target, lambda path: _write(path, "third"), fresh=True)
    assert target.read_text() == "third"


def test_directories_too(tmp_path: Path) -> None:
    """A directory is replaced as a whole."""

    def build(path: Path, name: str) -> None:
        path.mkdir()
        _write(path / name, "")

    build_once(tmp_path / "d", lambda path: build(path, "old"))
    build_once(tmp_path / "d", lambda path: build(path, "new"), fresh=True)
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["new"]


def test_whoever_comes_second_waits(tmp_path: Path) -> None:
    """Of many at once exactly one builds, and the others see the whole file."""
    built, seen = [], []

    def build(path: Path) -> None:
        built.append(1)
        _write(path, "half")
        time.sleep(0.1)
        _write(path, "whole")

    def run() -> None:
        seen.append(build_once(tmp_path / "file", build).read_text())

    threads = [Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [1]
    assert seen == ["whole"] * 5


def test_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """An error half way leaves no file under the target's name and none beside it but the lock."""

    def build(path: Path) -> None:
        _write(path, "half")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        build_once(tmp_path / "file", build)
    assert not (tmp_path / "file").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"file.lock"}


def test_full_disk_says_what_to_do(tmp_path: Path) -> None:
    """No space left becomes an error that names the file and the setting."""

    def build(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(AdapterError, match=r"no space left for .*file; .*ENGINE_CACHE_DIR"):
        build_once(tmp_path / "file", build, error=AdapterError)


def test_unwritable_directory_says_what_to_do(tmp_path: Path) -> None:
    """A cache directory that cannot be made names the setting that moves it."""
    (tmp_path / "occupied").write_text("")
    with pytest.raises(ModelError, match=r"cannot write .*"):
        build_once(tmp_path / "occupied" / "file", lambda path: None)


def _write(path: Path, text: str) -> None:
    path.write_text(text)
