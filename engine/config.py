"""A project's own settings: `.tenken.toml` in the root of its repository.

The file is data from a repository: it names no program and no path outside. Settings of the machine are
`engine.settings`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import ConfigError, InputError
from engine.findings import Severity
from engine.git import Git
from engine.wire import Language

CONFIG_NAME = ".tenken.toml"
_MAX_BYTES = 65_536
_MAX_GUIDELINES = 8_000


class AutoReview(StrEnum):
    """When a merge request is reviewed though nobody asked."""

    OPEN = "open"
    READY = "ready"  # a draft is none any more
    PUSH = "push"


class ProjectConfig(BaseModel):
    """What a project decides about its reviews; the command line goes before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: Language = Field(default=Language.EN, description="Language of messages: en or ja.")
    paths: tuple[str, ...] = Field(default=(), description="Gitignore-style patterns: review only these.")
    exclude: tuple[str, ...] = Field(default=(), description="Gitignore-style patterns: never review these.")
    guidelines: str = Field(default="", max_length=_MAX_GUIDELINES, description="The team's rules, as text.")
    guidelines_file: str = Field(default="", description="The team's rules, as a file in the repository.")
    severity: Severity = Field(default=Severity.INFO, description="Leave out findings below.")
    max_findings: int = Field(default=50, ge=1, le=1000, description="Keep the most certain ones.")
    fail_on: Severity | None = Field(default=None, description="Exit with 1 from this severity upwards.")
    auto_review: tuple[AutoReview, ...] = Field(
        default=(), description="Review merge requests unasked: on open, ready, push."
    )


def repository_root(folder: Path) -> Path:
    """Return the top of the repository around `folder`, or `folder` itself where there is none."""
    try:
        return Git(folder).root
    except InputError:
        return folder


def load_config(root: Path) -> ProjectConfig:
    """Return the configuration of the repository at `root`; the default one where it has no file.

    A `guidelines_file` is read and stands in `guidelines`. Raises ConfigError naming file, key and line.
    """
    try:
        data = (root / CONFIG_NAME).read_bytes()
    except FileNotFoundError:
        return ProjectConfig()
    except OSError as error:
        raise ConfigError(f"{CONFIG_NAME}: {error.strerror}") from error
    return _with_guidelines(parse_config(data), lambda name: _guidelines(root, name))


def load_config_at(folder: Path, revision: str) -> ProjectConfig:
    """Return the configuration that a revision has, whatever the work tree holds; its guidelines, too.

    Raises ConfigError as `load_config` does, InputError where there is no such revision.
    """
    git = Git(folder)
    commit = git.text("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").strip()
    if not git.succeeds("cat-file", "-e", f"{commit}:{CONFIG_NAME}"):
        return ProjectConfig()
    config = parse_config(git.output("cat-file", "blob", f"{commit}:{CONFIG_NAME}"))
    return _with_guidelines(config, lambda name: _guidelines_at(git, commit, name))


def _with_guidelines(config: ProjectConfig, read: Callable[[str], str]) -> ProjectConfig:
    if not config.guidelines_file:
        return config
    if config.guidelines:
        raise ConfigError(f"{CONFIG_NAME}: guidelines_file: give either this or guidelines")
    return config.model_copy(update={"guidelines": read(config.guidelines_file)})


def parse_config(data: bytes) -> ProjectConfig:
    """Return what a `.tenken.toml` says; raises ConfigError naming key and line."""
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{CONFIG_NAME}: {len(data)} bytes; at most {_MAX_BYTES} are read")
    try:
        text = data.decode()
        values = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{CONFIG_NAME}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{CONFIG_NAME}: nested too deeply") from error
    try:
        return ProjectConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            "; ".join(_explain(text, str(e["loc"][0]), e["type"], e["msg"]) for e in error.errors())
        ) from error


def read_guidelines(path: Path, name: str) -> str:
    """Return the text of a guidelines file; raises ConfigError under `name` if it is unusable."""
    try:
        return _checked(path.read_bytes(), name)
    except OSError as error:
        raise ConfigError(f"{name}: {error.strerror}") from error


def _checked(data: bytes, name: str) -> str:
    try:
        text = data.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 text") from error
    if len(text) > _MAX_GUIDELINES:
        raise ConfigError(f"{name}: {len(text)} characters; guidelines may have {_MAX_GUIDELINES}")
    return text


def _guidelines(root: Path, name: str) -> str:
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ConfigError(f"{CONFIG_NAME}: guidelines_file: {name} is outside the repository")
    return read_guidelines(path, f"{CONFIG_NAME}: guidelines_file: {name}")


def _guidelines_at(git: Git, commit: str, name: str) -> str:
    where = f"{CONFIG_NAME}: guidelines_file: {name}"
    try:
        data = git.output("cat-file", "blob", f"{commit}:{name}")
    except InputError as error:
        raise ConfigError(f"{where}: {error}") from error
    return _checked(data, where)


def _explain(text: str, key: str, kind: str, message: str) -> str:
    where = f"{CONFIG_NAME}{_line_of(key, text)}: {key}"
    if kind != "extra_forbidden":
        return f"{where}: {message}"
    close = difflib.get_close_matches(key, ProjectConfig.model_fields, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(ProjectConfig.model_fields)}"
    return f"{where}: unknown key; {hint}"


def _line_of(key: str, text: str) -> str:
    assignment = re.compile(rf"""\s*(?:\[+\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""")
    return next((f":{n}" for n, line in enumerate(text.splitlines(), 1) if assignment.match(line)), "")
