"""The exit codes of every command, one place for code, help and README."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    ENGINE = 3
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What it says, in a few words."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "done; no finding as severe as --fail-on",
    ExitCode.FINDINGS: "done; at least one finding as severe as --fail-on",
    ExitCode.USAGE: "the command line, the diff or a configuration file cannot be used",
    ExitCode.ENGINE: "the engine cannot work: model, adapter or an optional part is missing or failed",
    ExitCode.INTERRUPTED: "interrupted; what was done until then is in the output",
}
