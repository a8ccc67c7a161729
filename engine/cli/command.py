"""What a command is: a name, its arguments, and a function from arguments to an exit code."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from engine.errors import InputError
from engine.exits import ExitCode
from engine.opening import OpenRunner
from engine.wire import Language


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


def add_action(
    actions: argparse._SubParsersAction[Parser], name: str, act: Callable[..., None], summary: str
) -> argparse.ArgumentParser:
    """Add an action of a command that works on a project's store, and return its parser."""
    parser = actions.add_parser(name, help=summary, description=summary)
    parser.add_argument(
        "--project", metavar="NAME", help="e.g. group/app; that of the git remote if not given"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(act=act)
    return parser


def add_language(parser: argparse.ArgumentParser) -> None:
    """Add `--lang` for what a command says itself; if it is not given, the locale decides."""
    parser.add_argument(
        "--lang",
        type=Language,
        choices=list(Language),
        default=language_of_locale(os.environ),
        help="language of what is said; that of the locale (LC_ALL, LANG) if not given",
    )


def language_of_locale(environ: Mapping[str, str]) -> Language:
    """Return the language of messages in an environment."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((environ[name] for name in names if environ.get(name)), "")
    return Language.JA if locale.lower().startswith("ja") else Language.EN


def refused(error: ValidationError) -> InputError:
    """Return what a user is told of arguments that the wire's models do not take."""
    first = error.errors()[0]
    return InputError(": ".join((*map(str, first["loc"][:1]), first["msg"].removeprefix("Value error, "))))


def exit_codes_text() -> str:
    """Return the exit codes as a section of the help."""
    rows = (f"  {code.value:>3}  {code.meaning}" for code in ExitCode)
    return "exit codes:\n" + "\n".join(rows)
