"""Settings of the language server: what the editor gives, then environment variables that begin with LSP_.

Keys are those of PROTOCOL.md, in camel case; `engineUrl` is LSP_ENGINE_URL. A key that cannot be used is
named and left out, the others hold: an editor has no command line that could be refused.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.alias_generators import to_camel, to_snake

from engine.cache import default_cache
from engine.errors import ConfigError
from engine.findings import Severity
from engine.settings import EngineSettings, read_token
from engine.wire import Language

PREFIX = "LSP_"
SECTION = "tenken"
CLIENT = "client"
"""The key of `initializationOptions` that tells what the client does by itself: no setting."""


class Scope(StrEnum):
    """What counts as changed."""

    MERGE_BASE = "mergeBase"  # since the branch left its base
    HEAD = "head"  # since the last commit
    STAGED = "staged"  # what `git commit` would record


def _expanded(value: object) -> object:
    return os.path.expanduser(value) if isinstance(value, str) else value


_Folder = Annotated[Path, BeforeValidator(_expanded)]


class LspSettings(BaseModel):
    """What is reviewed, when, and by which engine."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    enabled: bool = Field(default=True, description="Review at all.")
    engine_url: str = Field(default="", description="Of the engine; none: the embedded one.")
    engine_token: SecretStr | None = Field(default=None, description="Its token.")
    engine_token_file: _Folder | None = Field(default=None, description="A file with that token.")
    ca_file: _Folder | None = Field(default=None, description="Certificates to trust, PEM.")
    proxy: str = Field(default="", description="http://host:port on the way to the engine.")
    embedded: bool = Field(default=True, description="Without an engine, run the embedded one if installed.")
    project: str = Field(
        default="",
        max_length=255,
        description="Whose adapter reads the changes; out of the git remote if not given.",
    )
    language: Language | None = Field(default=None, description="Of messages.")
    scope: Scope = Field(
        default=Scope.MERGE_BASE,
        description="Since the branch left its base, since the last commit, or what is staged.",
    )
    base_branch: str = Field(default="", description="The branch that mergeBase means.")
    untracked: bool = Field(default=True, description="Review files that git does not know yet.")
    on_save: bool = Field(default=True, description="Review when a file is saved.")
    on_commit: bool = Field(default=True, description="Review after a commit, checkout or rebase.")
    debounce_ms: int = Field(default=500, ge=0, le=60_000, description="Wait this long for further saves.")
    timeout_seconds: float = Field(
        default=300, gt=0, le=86_400, description="Then a review ends with what it has."
    )
    max_files: int = Field(default=200, ge=1, le=3000, description="Files in one review.")
    max_diff_kib: int = Field(default=1024, ge=1, le=15_000, description="Size of one review's diff.")
    severity: Severity | None = Field(default=None, description="Leave out findings below.")
    exclude: tuple[str, ...] = Field(default=(), description="Gitignore-style patterns: never review these.")
    pull: bool = Field(default=False, description="Answer textDocument/diagnostic where clients can refresh.")
    gitlab_url: str = Field(default="", description="Where merge requests' threads are looked for.")
    gitlab_token: SecretStr | None = Field(default=None, description="One's own, scope read_api.")
    gitlab_token_file: _Folder | None = Field(default=None, description="A file with that token.")
    threads: bool = Field(default=False, description="Show the branch's open merge request threads.")
    thread_minutes: int = Field(default=5, ge=1, le=1440, description="Look for threads so often at most.")
    cache_dir: _Folder | None = Field(default=None, description="Findings of texts that were reviewed.")
    data_dir: _Folder | None = Field(default=None, description="Dismissals, and feedback that waits.")

    def caches(self, environ: Mapping[str, str] = os.environ) -> Path:
        """Return where findings are kept; creates nothing."""
        return self.cache_dir or default_cache(environ) / "lsp"

    def data(self, environ: Mapping[str, str] = os.environ) -> Path:
        """Return where dismissals are kept; creates nothing."""
        base = environ.get("XDG_DATA_HOME")
        share = Path(base) if base else Path.home() / ".local" / "share"
        return self.data_dir or share / "tenken" / "lsp"

    def token(self) -> str:
        """Return the engine's token, or nothing; raises ConfigError for a file without one."""
        if self.engine_token is not None:
            return self.engine_token.get_secret_value()
        if self.engine_token_file is None:
            return ""
        try:
            return read_token(self.engine_token_file).get_secret_value()
        except ConfigError as error:
            raise ConfigError(f"engineTokenFile: {error}") from error


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and what of them could not be used: one sentence each, beginning with the key."""

    settings: LspSettings
    problems: tuple[str, ...] = ()


def load_settings(given: object, environ: Mapping[str, str], engine: EngineSettings | None = None) -> Loaded:
    """Return the settings that the editor's `given`, the environment and the engine's settings come to."""
    values: dict[str, object] = {}
    problems: list[str] = []
    for source in (_of_engine(engine), _of_environment(environ), given):
        found, wrong = _usable(source)
        values |= found
        problems += wrong
    settings = LspSettings.model_validate(values)
    if settings.threads and not settings.gitlab_url:
        problems.append("gitlabUrl: is needed where threads is true")
    return Loaded(settings, tuple(problems))


def settings_of(options: object) -> object:
    """Return the settings in `initializationOptions`: all of it but the client's part, or its section."""
    if not isinstance(options, dict):
        return {}
    inner = options.get(SECTION)
    return inner if isinstance(inner, dict) else {key: options[key] for key in options if key != CLIENT}


def variable(key: str) -> str:
    """Return the environment variable of a key."""
    return PREFIX + to_snake(key).upper()


def _keys() -> list[str]:
    return [to_camel(name) for name in LspSettings.model_fields]


def _of_engine(engine: EngineSettings | None) -> dict[str, object]:
    if engine is None:
        return {}
    return {
        "engineUrl": engine.url,
        "engineToken": engine.token,
        "caFile": engine.ca_file,
        "proxy": engine.proxy,
    }


def _of_environment(environ: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key in _keys():
        text = environ.get(variable(key), "")
        if text:
            found[key] = _parsed(text) if key in ("exclude",) else text
    return found


def _parsed(text: str) -> object:
    """Return a list, given as JSON or separated by commas."""
    try:
        return json.loads(text)
    except ValueError:
        return [part.strip() for part in text.split(",")]


def _usable(source: object) -> tuple[dict[str, object], list[str]]:
    """Return the values that can be used, and what is wrong with the others."""
    if source is None:
        return {}, []
    if not isinstance(source, Mapping):
        return {}, [f"{SECTION}: an object is needed"]
    values = {str(key): value for key, value in source.items() if value not in (None, "")}
    problems = []
    for key in list(values):
        if problem := _problem(key, values[key]):
            problems.append(problem)
            del values[key]
    return values, problems


def _problem(key: str, value: Any) -> str | None:
    if key not in _keys():
        close = difflib.get_close_matches(key, _keys(), n=1)
        return f"{key}: unknown setting" + (f"; did you mean {close[0]}?" if close else "")
    try:
        LspSettings.model_validate({key: value})
    except ValidationError as error:
        return f"{key}: {error.errors(include_input=False)[0]['msg']}"
    return None
