"""The engine's errors, one small tree.

TenkenError
├── InputError            what the user gave cannot be used; names the field, file or line
│   ├── DiffError         not a diff that can be parsed (carries the line number)
│   ├── ConfigError       `.tenken.toml` or a settings file (carries the key)
│   └── DataError         a data file's line does not fit its format (carries file, line and field)
└── EngineError           the engine cannot do its work
    ├── MissingExtra      an optional dependency is not installed; says which extra brings it
    ├── ModelError        base model missing, damaged or not storable
    ├── AdapterError      adapter missing, damaged, of another base, or without effect
    └── RunnerError       the runner failed while scoring or writing

The command line turns InputError into exit code 2 and EngineError into exit code 3.
"""

from __future__ import annotations


class TenkenError(Exception):
    """Base of every error this project raises on purpose; its text is written for the user."""


class InputError(TenkenError):
    """What the user gave cannot be used."""


class DiffError(InputError):
    """The text is not a diff that can be parsed."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        self.reason = reason
        self.line = line
        super().__init__(reason if line is None else f"line {line} of the diff: {reason}")


class ConfigError(InputError):
    """A configuration file has an unknown key or a bad value."""


class DataError(InputError):
    """A line of a data file does not fit its format."""


class EngineError(TenkenError):
    """The engine cannot do its work."""


class MissingExtra(EngineError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        self.module = module
        self.extra = extra
        super().__init__(f"{module} is not installed; run: pip install 'tenken[{extra}]'")


class ModelError(EngineError):
    """The base model is missing, damaged or cannot be stored."""


class AdapterError(EngineError):
    """The adapter is missing, damaged, made for another base, or has no effect."""


class RunnerError(EngineError):
    """The runner failed while scoring or writing."""
