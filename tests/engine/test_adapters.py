"""Adapter directories: whole and unchanged, or refused with the file's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.adapters import CARD, CONFIG, MANIFEST, WEIGHTS, Adapter, Manifest, load_adapter, write_manifest
from engine.errors import AdapterError
from engine.scores import Calibration

BARE = Manifest(
    name="starter",
    base_model="google/gemma-3-270m-it",
    base_sha256="0" * 64,
    dtype="bfloat16",
    rank=16,
    calibration=Calibration(points=((0.0, 0.0), (0.5, 0.25), (1.0, 1.0)), threshold=0.3),
    licence="Gemma Terms of Use",
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "adapter"
    path.mkdir()
    (path / CONFIG).write_text("{}")
    (path / WEIGHTS).write_bytes(bytes(100))
    (path / CARD).write_text("# Starter")
    return path


@pytest.fixture
def adapter(directory: Path) -> Adapter:
    return write_manifest(directory, BARE)


def test_written_manifest_loads_again(adapter: Adapter) -> None:
    """What was written is what is read, with the files' hashes and the calibration."""
    again = load_adapter(adapter.path)
    assert again == adapter
    assert again.manifest.calibration == BARE.calibration
    assert set(again.manifest.files) == {CONFIG, WEIGHTS, CARD}


def test_nothing_else_is_left_behind(adapter: Adapter) -> None:
    """The manifest's scratch file is gone, inside and beside the directory."""
    assert sorted(path.name for path in adapter.path.iterdir()) == sorted([CONFIG, WEIGHTS, CARD, MANIFEST])
    assert [path.name for path in adapter.path.parent.iterdir()] == ["adapter"]


def test_version_follows_the_content(adapter: Adapter) -> None:
    """Other weights or another threshold under the same name are another version."""
    (adapter.path / WEIGHTS).write_bytes(bytes(101))
    retrained = write_manifest(adapter.path, BARE)
    assert adapter.version.startswith("starter-")
    assert len(adapter.version) == len("starter-") + 12
    assert retrained.version != adapter.version


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, CARD])
def test_changed_file_is_refused(adapter: Adapter, name: str) -> None:
    """A file that is not the one that was measured is named."""
    (adapter.path / name).write_bytes(b"other")
    with pytest.raises(AdapterError, match=f"{name} is not the file"):
        load_adapter(adapter.path)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, CARD, MANIFEST])
def test_missing_file_is_refused(adapter: Adapter, name: str) -> None:
    """A file that is not there is named."""
    (adapter.path / name).unlink()
    with pytest.raises(AdapterError, match=f"cannot read .*{name}"):
        load_adapter(adapter.path)


def test_extra_file_is_refused(adapter: Adapter) -> None:
    """A directory with anything else, say a pickle, is no adapter."""
    (adapter.path / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(AdapterError, match=r"no part of an adapter: adapter_model\.bin"):
        load_adapter(adapter.path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "format"),
        ("name", "../up", "name"),
        ("base_sha256", "abc", "base_sha256"),
        ("surprise", 1, "surprise"),
        ("files", {"other": "0" * 64}, "files: expected"),
        ("calibration", {"points": []}, "calibration"),
    ],
)
def test_bad_manifest_is_refused(adapter: Adapter, key: str, value: object, message: str) -> None:
    """A manifest that does not fit its format is refused with the field's name."""
    path = adapter.path / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(AdapterError, match=message):
        load_adapter(adapter.path)


def test_manifest_that_is_not_json_is_refused(adapter: Adapter) -> None:
    """A torn manifest is an AdapterError, not a traceback."""
    (adapter.path / MANIFEST).write_bytes(b"\xff{")
    with pytest.raises(AdapterError, match="the whole file"):
        load_adapter(adapter.path)
