"""Settings of this machine: environment variables that begin with ENGINE_, or a file that holds them.

Built once, in `engine.__main__`, and passed on as plain values. A project's settings are `engine.config`.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.errors import ConfigError
from engine.runners.gemma.memory import Precision

ENV_FILE = "ENGINE_ENV_FILE"


class RunnerKind(StrEnum):
    """What runs the model."""

    LLAMA = "llama"  # in this process, on the CPU
    TORCH = "torch"  # in this process, on a GPU
    OPENAI = "openai"  # vLLM, at ENGINE_OPENAI_URLS


class EngineSettings(BaseSettings):
    """Where the engine finds its files and what it may use."""

    model_config = SettingsConfigDict(
        env_prefix="ENGINE_", env_ignore_empty=True, extra="ignore", frozen=True, protected_namespaces=()
    )

    runner: RunnerKind = Field(
        default=RunnerKind.LLAMA, description="What runs the model: in this process, on a GPU, or vLLM."
    )
    cache_dir: Path | None = Field(
        default=None, description="For what is built once; ~/.cache/tenken if unset."
    )
    model_path: Path | None = Field(
        default=None, description="Base model, GGUF or, for torch, a directory; the installed Gemma if unset."
    )
    adapter_dir: Path | None = Field(default=None, description="Adapter; the one that came along if unset.")
    data_dir: Path | None = Field(
        default=None, description="For adapters and the database; ~/.local/share/tenken if unset."
    )
    database_url: SecretStr | None = Field(
        default=None, description="postgresql://...; SQLite in the data directory if unset."
    )
    signing_key: Path | None = Field(
        default=None, description="Private key, PEM: exported adapters are signed."
    )
    verify_key: Path | None = Field(
        default=None, description="Public key, PEM: only adapters signed with its private key are imported."
    )
    threads: int | None = Field(default=None, ge=1, description="What the cgroup allows if unset.")
    url: str | None = Field(default=None, description="Of an engine that does the work; none: this process.")
    token: SecretStr | None = Field(default=None, description="Bearer token for that engine.")
    ca_file: Path | None = Field(
        default=None, description="Certificates to trust, PEM; the system's if unset."
    )
    proxy: str | None = Field(default=None, description="http://host:port on the way to that engine.")
    precision: Precision = Field(default="bfloat16", description="Of weights on a GPU; `nf4` is 4 bits.")
    device: str = Field(
        default="cuda", pattern=r"^(cpu|cuda(:\d+)?)$", description="Of the runner torch: cuda, cuda:1, cpu."
    )
    gpu_memory_gib: float | None = Field(default=None, gt=0, description="All that is free if unset.")
    lora_rank: int = Field(default=32, ge=1, le=256, description="Largest rank of an adapter on a GPU.")
    openai_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Of the vLLM servers, with commas or spaces between."
    )
    openai_key: SecretStr | None = Field(default=None, description="What they were given as --api-key.")
    openai_model: str | None = Field(
        default=None, description="Their --served-model-name: the base that adapters are made for."
    )
    openai_adapters: Path | None = Field(
        default=None, description="Directory that they see, too; `served` in the data directory if unset."
    )
    openai_adapters_at: PurePosixPath | None = Field(
        default=None, description="What they call that directory; the same if unset."
    )
    openai_tokenizer: Path | None = Field(
        default=None, description="The model's tokenizer.json; the servers are asked if unset."
    )
    openai_requests: int = Field(default=16, ge=1, le=256, description="Chunks a server is given at once.")
    openai_seconds: float = Field(default=120, gt=0, description="Then an answer is waited for elsewhere.")
    resident_adapters: int = Field(default=2, ge=2, description="Adapters that `tenken serve` keeps loaded.")
    open_reviews: int = Field(default=256, ge=1, le=2048, description="Reviews taken on at once.")
    open_per_token: int = Field(default=32, ge=1, description="Reviews taken on at once for one token.")
    max_body_mib: int = Field(default=16, ge=1, le=1024, description="Largest body of a request.")
    max_files: int = Field(default=3000, ge=1, description="Files in one diff.")
    review_seconds: float = Field(default=1800, gt=0, description="Then a review ends with what it has.")
    context: int = Field(default=4096, ge=2560, le=32_768, description="Tokens the model reads at once.")

    @field_validator("openai_urls", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def load_settings() -> EngineSettings:
    """Return the settings of this process; raises ConfigError naming the variable.

    The file is the one that ENGINE_ENV_FILE names and no other: a `.env` in the directory that is being
    reviewed belongs to the code under review, and must not choose which model files are loaded.
    """
    file = os.environ.get(ENV_FILE) or None
    if file is not None and not Path(file).is_file():
        raise ConfigError(f"{ENV_FILE}: {file} is no file")
    options: dict[str, Any] = {"_env_file": file}
    try:
        return EngineSettings(**options)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"ENGINE_{str(first['loc'][0]).upper()}: {first['msg']}") from error


def read_token(file: Path) -> SecretStr:
    """Return the token in `file`; raises ConfigError where there is none."""
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    if not token or not token.isascii() or len(token.split()) != 1:
        raise ConfigError(f"{file}: not a token")
    return SecretStr(token)
