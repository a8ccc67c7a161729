"""`tenken-bot check`: say whether the bot would work with its settings, and what to do where not."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from bot.check_texts import CHECK_TEXTS
from bot.settings import ENV_FILE, BotSettings, load_settings
from engine.cli.command import add_language
from engine.cli.doctor import show
from engine.deployment import readable_by_others, unknown_variables
from engine.doctor import Check, Health
from engine.doctor_texts import DOCTOR_TEXTS, name_in
from engine.exits import ExitCode
from engine.wire import Language


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "check",
        help="look at settings, GitLab, token, clock, engine and hooks",
        description="Looks at everything the bot needs, and says what to do about what is wrong. A problem "
        "makes the exit code 3.",
    )
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")
    add_language(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Print all checks."""
    language: Language = arguments.lang
    checks = [*_surroundings(os.environ, language), *asyncio.run(_checks(load_settings(), language))]
    if arguments.json:
        print(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        names = CHECK_TEXTS[language].names
        show(checks, lambda name: names.get(name) or name_in(DOCTOR_TEXTS[language], name))
    return ExitCode.ENGINE if any(check.health is Health.PROBLEM for check in checks) else ExitCode.OK


def _surroundings(environ: Mapping[str, str], language: Language) -> list[Check]:
    """Look at how the settings were given: neither misspelt nor for all to read."""
    named, texts = environ.get(ENV_FILE), DOCTOR_TEXTS[language]
    return [
        unknown_variables("BOT_", BotSettings.model_fields, environ, texts),
        readable_by_others("secrets", [Path(named)] if named else [], texts),
    ]


async def _checks(settings: BotSettings, language: Language) -> list[Check]:
    from bot.addresses import gitlab_options
    from bot.app import secrets_of
    from bot.checks import examine
    from bot.gitlab_client import PythonGitLab

    secrets_of(settings)
    gitlab = PythonGitLab.connect(gitlab_options(settings))
    try:
        return [check async for check in examine(settings, gitlab, CHECK_TEXTS[language])]
    finally:
        await gitlab.close()
