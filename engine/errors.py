"""The engine's errors, one small tree.

TenkenError
├── InputError            what the user gave cannot be used; names the field, file or line
│   ├── DiffError         not a diff that can be parsed (carries the line number)
│   ├── ConfigError       `.tenken.toml` or a settings file (carries the key)
│   ├── DataError         a data file's line does not fit its format (carries file, line and field)
│   ├── UnknownAdapter    no adapter of that version in the project
│   └── AdapterConflict   the adapter's state does not allow what was asked for
└── EngineError           the engine cannot do its work
    ├── MissingExtra      an optional dependency is not installed; says which extra brings it
    ├── ModelError        base model missing, damaged or not storable
    ├── AdapterError      adapter missing, damaged, of another base, or without effect
    ├── RunnerError       the runner failed while scoring or writing
    ├── StoreError        the database cannot be opened, read or written
    ├── QueueFull         too many reviews are open (carries the seconds to wait)
    ├── NotReady          a remote engine still loads its model (carries the seconds to wait)
    ├── Unreachable       a remote engine does not answer, or not as an engine would
    └── AccessRefused     a remote engine does not accept the token, or not for what was asked

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


class UnknownAdapter(InputError):
    """There is no adapter of that version in the project."""


class AdapterConflict(InputError):
    """The adapter's state does not allow what was asked for."""


class EngineError(TenkenError):
    """The engine cannot do its work."""


class MissingExtra(EngineError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        self.module = module
        self.extra = extra
        super().__init__(f"{module} is not installed; run: pip install 'tenken[{extra}]'")


def unimportable(error: ImportError, module: str, extra: str) -> EngineError:
    """Return what a failed import of `module`, or of what it needs, means to the user.

    MissingExtra where a module is not there. Where one is there and does not work, installing it again would
    not help, so its own words are told: those of the first failure, as some libraries hide it behind others.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        return MissingExtra(error.name, extra)
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    return EngineError(f"{module} is installed but cannot be imported: {' '.join(str(first).split())}")


class ModelError(EngineError):
    """The base model is missing, damaged or cannot be stored."""


class AdapterError(EngineError):
    """The adapter is missing, damaged, made for another base, or has no effect."""


class RunnerError(EngineError):
    """The runner failed while scoring or writing."""


class StoreError(EngineError):
    """The database cannot be opened, read or written."""


class QueueFull(EngineError):
    """Too many reviews are open; the next is welcome in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"too many reviews are open; try again in {retry_after} s")


class NotReady(EngineError):
    """A remote engine still loads its model, or cannot; ask again in `retry_after` seconds."""

    def __init__(self, text: str, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(text)


class Unreachable(EngineError):
    """A remote engine does not answer, or not as an engine would."""


class AccessRefused(EngineError):
    """A remote engine does not accept the token, or not for what was asked."""
