"""What a command is: a name, its arguments, and a function from arguments to an exit code."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from engine.exits import ExitCode
from engine.opening import OpenRunner


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a command is given besides its arguments."""

    folder: Path
    open_runner: OpenRunner


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand."""

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Surroundings], ExitCode]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.USAGE, f"tenken: {message} (see: {self.prog} --help)\n")


def exit_codes_text() -> str:
    """Return the exit codes as a section of the help."""
    rows = (f"  {code.value:>3}  {code.meaning}" for code in ExitCode)
    return "exit codes:\n" + "\n".join(rows)
