"""Adapters on disk: a fixed set of files, their hashes, and the manifest that vouches for them.

An adapter never changes once its manifest is written. It is called after what it holds, so two adapters with
one name cannot be mistaken for each other. Loading one into a model is the runner's.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from engine.curves import LossCurve
from engine.errors import AdapterError
from engine.probes import Probe
from engine.scores import Calibration
from engine.wire import Language

MANIFEST = "manifest.json"
CONFIG, WEIGHTS, CARD = "adapter_config.json", "adapter_model.safetensors", "README.md"
FILES = (CONFIG, WEIGHTS, CARD)
"""Everything in an adapter directory, besides the manifest."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What an adapter is, where it comes from and how its scores are to be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    base_model: str = Field(description="E.g. google/gemma-3-270m-it.")
    base_sha256: Sha256 = Field(description="Of the GGUF file that the base was taken from.")
    dtype: str = Field(description="Of the base while training, e.g. bfloat16.")
    tasks: tuple[Literal["score", "write"], ...] = ("score", "write")
    rank: int = Field(ge=1)
    data_fingerprint: str = Field(default="", description="Of the training rows, in order.")
    settings: dict[str, JsonValue] = Field(default_factory=dict, description="Of the training run.")
    versions: dict[str, str] = Field(default_factory=dict, description="Library -> version.")
    seed: int = 0
    scores: dict[str, float] = Field(default_factory=dict, description="Measured on held-out data.")
    calibration: Calibration = Calibration()
    languages: tuple[Language, ...] = (Language.EN,)
    licence: str = Field(min_length=1, description="Of the weights; Gemma's derivatives: Gemma Terms of Use.")
    created: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    probe: Probe | None = Field(default=None, description="What it does to the base on a fixed text.")
    curve: LossCurve | None = Field(default=None, description="The loss of its training, where it was kept.")
    files: dict[str, Sha256] = Field(default_factory=dict, description="File name -> sha256.")


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter whose files were checked."""

    path: Path
    manifest: Manifest
    version: str  # the name with the manifest's hash; the manifest holds all other hashes


def load_adapter(directory: Path) -> Adapter:
    """Return the adapter in `directory`; raises AdapterError unless it is whole and unchanged."""
    manifest, version = read_manifest(directory)
    _check_names(directory, manifest)
    for name, expected in sorted(manifest.files.items()):
        if hashlib.sha256(_read(directory / name)).hexdigest() != expected:
            raise AdapterError(
                f"{directory / name} is not the file that the manifest names: its sha256 differs"
            )
    return Adapter(directory, manifest, version)


def read_manifest(directory: Path) -> tuple[Manifest, str]:
    """Return what an adapter's manifest says, and the version that this makes it; looks at no other file."""
    text = _read(directory / MANIFEST)
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise AdapterError(f"{directory / MANIFEST}: {where}: {first['msg']}") from error
    return manifest, _version(manifest.name, text)


def write_manifest(directory: Path, manifest: Manifest) -> Adapter:
    """Hash the files in `directory`, write `manifest` with the hashes, and return the adapter.

    The manifest appears whole or not at all, and only after all other files, so a directory with a manifest
    is a finished adapter.
    """
    hashes = {name: hashlib.sha256(_read(directory / name)).hexdigest() for name in FILES}
    complete = manifest.model_copy(update={"files": hashes})
    text = complete.model_dump_json(indent=2).encode() + b"\n"
    with tempfile.NamedTemporaryFile(dir=directory.parent, prefix=f".{MANIFEST}.", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    os.replace(file.name, directory / MANIFEST)
    return load_adapter(directory)


def starter_adapter() -> Path | None:
    """Return the directory of the adapter that comes with the package, if it came with one."""
    directory = Path(__file__).parent / "starter"
    return directory if (directory / MANIFEST).is_file() else None


def _check_names(directory: Path, manifest: Manifest) -> None:
    if set(manifest.files) != set(FILES):
        raise AdapterError(f"{directory / MANIFEST}: files: expected {', '.join(FILES)}")
    unknown = {path.name for path in directory.iterdir()} - {*FILES, MANIFEST}
    if unknown:
        raise AdapterError(f"{directory} holds what is no part of an adapter: {', '.join(sorted(unknown))}")


def _version(name: str, manifest: bytes) -> str:
    return f"{name}-{hashlib.sha256(manifest).hexdigest()[:12]}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AdapterError(f"cannot read {path}: {error.strerror}") from error
