"""The base model is assembled once, checked, and repaired; a user's own file is taken as it is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from engine.errors import MissingExtra, ModelError
from engine.models import BaseModel, base_model, installed_package, packaged_path, verify

CONTENT = b"GGUF and the rest of a small model"


class FakePackage:
    """A package with a small model; `parts` is what its files hold."""

    MODEL_NAME = "small.gguf"
    EXPECTED_SHA256 = hashlib.sha256(CONTENT).hexdigest()

    def __init__(self, parts: bytes = CONTENT) -> None:
        self.parts = parts
        self.assembled = 0

    def assemble(self, output_path: Path, overwrite: bool = False) -> Path:
        self.assembled += 1
        output_path.write_bytes(self.parts)
        if hashlib.sha256(self.parts).hexdigest() != self.EXPECTED_SHA256:
            raise ValueError("Assembled file sha256 did not match expected value")
        return output_path


def test_assembled_once(tmp_path: Path) -> None:
    """The first call makes the file, the second finds it."""
    package = FakePackage()
    model = base_model(tmp_path, package=package)
    assert base_model(tmp_path, package=package) == model
    assert model == BaseModel("small", packaged_path(package, tmp_path), package.EXPECTED_SHA256)
    assert model.path.read_bytes() == CONTENT
    assert package.assembled == 1


@pytest.mark.parametrize("damage", [CONTENT[:-1], b"x" + CONTENT[1:], b""], ids=["cut", "changed", "empty"])
def test_damaged_file_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    """A file that changed on disk is noticed by its time or size, and replaced."""
    package = FakePackage()
    path = base_model(tmp_path, package=package).path
    path.write_bytes(damage)
    os.utime(path, (1, 1))
    assert base_model(tmp_path, package=package).path.read_bytes() == CONTENT
    assert package.assembled == 2


def test_copied_file_is_hashed_and_kept(tmp_path: Path) -> None:
    """A file whose time alone changed is hashed and then trusted again."""
    package = FakePackage()
    path = base_model(tmp_path, package=package).path
    os.utime(path, (1, 1))
    base_model(tmp_path, package=package)
    assert package.assembled == 1


def test_damaged_parts_name_the_remedy(tmp_path: Path) -> None:
    """Parts with a bad checksum are reported, and nothing is left under the model's name."""
    package = FakePackage(b"GGUF but wrong")
    with pytest.raises(ModelError, match="force-reinstall"):
        base_model(tmp_path, package=package)
    assert not packaged_path(package, tmp_path).exists()


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error says how to get it."""
    monkeypatch.setattr("engine.models.PACKAGE", "no_such_package_anywhere")
    with pytest.raises(MissingExtra, match=r"tenken\[cpu\]"):
        installed_package()


def test_verify_hashes_everything(tmp_path: Path) -> None:
    """A flipped byte is found even where size and time were put back."""
    package = FakePackage()
    model = base_model(tmp_path, package=package)
    verify(model)
    times = model.path.stat()
    model.path.write_bytes(CONTENT[:-1] + b"?")
    os.utime(model.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ModelError, match="damaged"):
        verify(model)


def test_own_file(tmp_path: Path) -> None:
    """A GGUF of the user's is taken under its own name; nobody vouches for it."""
    path = tmp_path / "mine.gguf"
    path.write_bytes(CONTENT)
    assert base_model(tmp_path, path) == BaseModel("mine", path, None)


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"PK\x03\x04", "not a GGUF file")])
def test_own_file_that_is_none(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A path without a GGUF file is refused with the reason."""
    path = tmp_path / "mine.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=reason):
        base_model(tmp_path, path)
