"""`tenken doctor`: what is installed, what is found, and what to do about what is missing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from engine.cli.command import Command, Surroundings, add_language
from engine.config import CONFIG_NAME
from engine.deployment import examine_deployment
from engine.doctor import Check, Health, examine
from engine.doctor_texts import DOCTOR_TEXTS, name_in
from engine.exits import ExitCode
from engine.sanitize import one_line
from engine.settings import load_settings

_SIGNS = {Health.OK: ("ok", "green"), Health.ABSENT: ("--", "dim"), Health.PROBLEM: ("!!", "bold red")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tenken doctor` understands."""
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")
    parser.add_argument(
        "--deploy", action="store_true", help="look at a service's account, disk, secrets and database, too"
    )
    parser.add_argument(
        "--tokens", type=Path, metavar="FILE", help="with --deploy: the file that `tenken serve` is given"
    )
    add_language(parser)


def run(arguments: argparse.Namespace, around: Surroundings) -> ExitCode:
    """Print all checks; a problem makes the exit code 3."""
    settings, texts = load_settings(), DOCTOR_TEXTS[arguments.lang]
    checks = examine(settings, around.folder, texts)
    if arguments.deploy:
        # A service is sent its changes: it has no use for git, nor for the configuration of a repository.
        kept = [check for check in checks if check.name not in ("git", "cache", CONFIG_NAME)]
        checks = kept + examine_deployment(settings, arguments.tokens, texts=texts)
    if arguments.json:
        print(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        show(checks, partial(name_in, texts))
    return ExitCode.ENGINE if any(check.health is Health.PROBLEM for check in checks) else ExitCode.OK


COMMAND = Command("doctor", "Say what is installed and what to do about what is missing.", add_arguments, run)


def show(checks: Sequence[Check], called: Callable[[str], str]) -> None:
    """Print checks for people to read; `called` says what they call a check of this name."""
    console = Console(highlight=False, soft_wrap=True)
    names = [called(check.name) for check in checks]
    width = max(map(cell_len, names))
    for check, name in zip(checks, names, strict=True):
        sign, style = _SIGNS[check.health]
        padded = name + " " * (width - cell_len(name))
        console.print(Text.assemble((sign, style), f"  {padded}  {one_line(check.detail)}"))
        if check.advice:
            console.print(Text(f"    {'':<{width}}  -> {one_line(check.advice)}", "yellow"))
