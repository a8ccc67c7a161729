"""`tenken-bot explain-event`: say what the bot would do with a payload, and why."""

from __future__ import annotations

import argparse
import sys

from bot.decisions import Identity, Rules
from bot.errors import EventError
from bot.explain import explain
from bot.handlers.catalogue import COMMANDS
from bot.registry import Registry
from bot.settings import load_settings
from engine.errors import InputError
from engine.exits import ExitCode
from engine.sanitize import json_text

_MAX_BYTES = 64 * 2**20


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "explain-event",
        help="say what the bot would do with a webhook's payload, and why",
        description="Prints as JSON what the bot would do with a payload, such as GitLab shows under Recent "
        "events of a webhook. Nothing is done and nobody is asked: who may run a command, and what a project "
        "has set, is not looked up.",
    )
    parser.add_argument("file", metavar="FILE", help="the payload, JSON; - reads standard input")
    parser.add_argument("--event", required=True, metavar="NAME", help="its X-Gitlab-Event, e.g. 'Note Hook'")
    parser.add_argument("--bot-user", default="", metavar="NAME|ID", help="the bot's own account")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Print the explanation; raises InputError for a payload that cannot be read."""
    ignored = frozenset(name.lower() for name in load_settings().ignored_users)
    rules = Rules(_identity(arguments.bot_user), Registry(COMMANDS).grammar, ignored)
    try:
        found = explain(arguments.event, _read(arguments.file), rules)
    except EventError as error:
        raise InputError(f"{arguments.file}: {error}") from error
    print(json_text(found))
    return ExitCode.OK


def _identity(given: str) -> Identity:
    name = given.strip().removeprefix("@")
    return Identity(id=int(name)) if name.isascii() and name.isdigit() else Identity(username=name)


def _read(file: str) -> bytes:
    try:
        if file == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with open(file, "rb") as opened:
                data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise InputError(f"{file}: more than {_MAX_BYTES} bytes")
    return data
