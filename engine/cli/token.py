"""`tenken token`: who may call the engine."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli.command import Command, Surroundings
from engine.exits import ExitCode
from engine.tokens import Role, TokenFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tenken token` understands."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a token and print it; it cannot be shown again")
    create.add_argument("--role", choices=[role.value for role in Role], default=Role.REVIEWER.value)
    create.add_argument("--project", action="append", default=[], help="only this project; repeatable")
    listing = actions.add_parser("list", help="show all tokens, without their secrets")
    remove = actions.add_parser("remove", help="remove a token; a running server sees it at once")
    remove.add_argument("id", help="the middle part of the token, as shown by list")
    for action in (create, listing, remove):
        action.add_argument("--tokens", type=Path, metavar="FILE", default=Path("tokens.json"))


def run(arguments: argparse.Namespace, around: Surroundings) -> ExitCode:
    """Make, show or remove tokens."""
    file = TokenFile(around.folder / arguments.tokens)
    if arguments.action == "create":
        print(file.create(Role(arguments.role), tuple(arguments.project)))
    elif arguments.action == "remove":
        file.remove(arguments.id)
    else:
        for record in file.records:
            print(f"{record.id}  {record.created:%Y-%m-%d}  {record.role:<8}  {', '.join(record.projects)}")
    return ExitCode.OK


COMMAND = Command("token", "Say who may call the engine.", add_arguments, run)
