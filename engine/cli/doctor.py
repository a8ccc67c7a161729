"""`tenken doctor`: what is installed, what is found, and what to do about what is missing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text

from engine.cli.command import Command, Surroundings
from engine.config import CONFIG_NAME
from engine.deployment import examine_deployment
from engine.doctor import Check, Health, examine
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


def run(arguments: argparse.Namespace, around: Surroundings) -> ExitCode:
    """Print all checks; a problem makes the exit code 3."""
    settings = load_settings()
    checks = examine(settings, around.folder)
    if arguments.deploy:
        # A service is sent its changes: it has no use for git, nor for the configuration of a repository.
        kept = [check for check in checks if check.name not in ("git", "cache", CONFIG_NAME)]
        checks = kept + examine_deployment(settings, arguments.tokens)
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
