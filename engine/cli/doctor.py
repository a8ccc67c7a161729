"""`tenken doctor`: what is installed, what is found, and what to do about what is missing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from engine.cli.command import Command, Surroundings
from engine.doctor import Check, Health, examine
from engine.exits import ExitCode
from engine.sanitize import one_line
from engine.settings import load_settings

_SIGNS = {Health.OK: ("ok", "green"), Health.ABSENT: ("--", "dim"), Health.PROBLEM: ("!!", "bold red")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tenken doctor` understands."""
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def run(arguments: argparse.Namespace, around: Surroundings) -> ExitCode:
    """Print all checks; a problem makes the exit code 3."""
    checks = examine(load_settings(), around.folder)
    if arguments.json:
        print(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        show(checks)
    return ExitCode.ENGINE if any(check.health is Health.PROBLEM for check in checks) else ExitCode.OK


COMMAND = Command("doctor", "Say what is installed and what to do about what is missing.", add_arguments, run)


def show(checks: Sequence[Check]) -> None:
    """Print checks for people to read."""
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(check.name) for check in checks)
    for check in checks:
        sign, style = _SIGNS[check.health]
        console.print(Text.assemble((sign, style), f"  {check.name:<{width}}  {one_line(check.detail)}"))
        if check.advice:
            console.print(Text(f"    {'':<{width}}  -> {one_line(check.advice)}", "yellow"))
