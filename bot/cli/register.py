"""`tenken-bot register`: make the webhooks of projects."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bot.settings import BotSettings, load_settings
from engine.errors import ConfigError, InputError
from engine.exits import ExitCode
from engine.sanitize import one_line
from engine.settings import read_token

if TYPE_CHECKING:
    from bot.registering import Registered

_PATH = "/webhook"
_SIGNING_KEY = "whsec_"


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "register",
        help="make the webhooks of a group's projects",
        description="Makes a webhook in each project that has none to the bot's address yet. That needs the "
        "role Maintainer there, which the bot itself should not have: give a token of somebody who has it.",
    )
    parser.add_argument(
        "url", metavar="URL", help=f"the bot's address as GitLab reaches it, ending in {_PATH}"
    )
    parser.add_argument(
        "--group", action="append", default=[], metavar="PATH", help="its projects, all of them"
    )
    parser.add_argument("--project", action="append", default=[], metavar="ID|PATH", help="this project")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="token to do it with; BOT_GITLAB_TOKEN if not given"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what is missing")
    parser.add_argument("--no-tls-check", action="store_true", help="let GitLab accept any certificate")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Make hooks, and say what became of each; exit code 3 where one could not be made or is wrong."""
    if not (arguments.group or arguments.project):
        raise InputError("--group or --project: which projects?")
    parts = urlsplit(arguments.url)
    if parts.scheme not in ("http", "https") or not parts.netloc or not parts.path.endswith(_PATH):
        raise InputError(f"{one_line(arguments.url)}: an address like https://bot.example{_PATH} is needed")
    settings = load_settings()
    found = asyncio.run(_register(arguments, settings))
    if arguments.json:
        print(json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False))
    else:
        for one in found:
            print(
                f"{one.outcome:8} {one_line(one.project)}{f'  {one_line(one.detail)}' if one.detail else ''}"
            )
    bad = any(one.outcome in ("wrong", "refused") for one in found)
    return ExitCode.ENGINE if bad else ExitCode.OK


async def _register(arguments: argparse.Namespace, settings: BotSettings) -> list[Registered]:
    from bot.addresses import gitlab_options
    from bot.gitlab_client import PythonGitLab
    from bot.registering import projects_of
    from bot.registering import register as register_one

    options = gitlab_options(settings)
    if arguments.token_file is not None:
        options = replace(options, token=read_token(arguments.token_file).get_secret_value())
    gitlab = PythonGitLab.connect(options)
    try:
        return [
            await register_one(
                gitlab,
                project,
                arguments.url,
                secret_for(project.id, settings),
                make=not arguments.dry_run,
                verify_tls=not arguments.no_tls_check,
            )
            async for project in projects_of(gitlab, arguments.group, arguments.project)
        ]
    finally:
        await gitlab.close()


def secret_for(project_id: int, settings: BotSettings) -> str:
    """Return the token for a project's hook: the first that it is known by. Signing keys are no tokens."""
    for secret in settings.project_secrets.get(project_id, settings.webhook_secrets):
        if not (text := secret.get_secret_value()).startswith(_SIGNING_KEY):
            return text
    raise ConfigError(
        "BOT_WEBHOOK_SECRETS: no secret token in it; a signing key has to be set in GitLab by hand"
    )
