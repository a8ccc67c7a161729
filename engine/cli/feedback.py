"""`tenken feedback`: say what a finding was worth, and see what others said."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from engine.cli.command import Command, Parser, Surroundings, add_action, refused
from engine.cli.listing import print_json, print_table
from engine.errors import InputError
from engine.exits import ExitCode
from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.lifecycle import DEFAULT_PROJECT
from engine.projects import project_of
from engine.settings import load_settings
from engine.store.opening import open_store

_Act = Callable[[argparse.Namespace, str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tenken feedback` understands."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    adding = add_action(actions, "add", _record, "say what a finding was worth")
    adding.add_argument("fingerprint", metavar="FINGERPRINT", help="of the finding, as the reports have it")
    adding.add_argument("verdict", choices=[verdict.value for verdict in FeedbackVerdict])
    adding.add_argument("--reason", default="", help="in your own words")
    adding.add_argument("--adapter", default="", metavar="VERSION", help="that made the finding")
    adding.add_argument("--role", default="", help="of whoever says it, e.g. developer")
    listing = add_action(actions, "list", _list, "list feedback, the latest first")
    listing.add_argument("--all", action="store_true", help="of every project")
    listing.add_argument("--fingerprint", help="about this finding only")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="at most N; 100 if not given")
    removing = add_action(actions, "remove", _remove, "forget all feedback about a finding")
    removing.add_argument("fingerprint", metavar="FINGERPRINT")
    exporting = add_action(actions, "export", _export, "write all feedback as JSON lines, for training")
    exporting.add_argument("--all", action="store_true", help="of every project")
    exporting.add_argument("--output", type=Path, metavar="FILE", help="standard output if not given")


def run(arguments: argparse.Namespace, around: Surroundings) -> ExitCode:
    """Do what the arguments say."""
    arguments.act(arguments, arguments.project or project_of(around.folder) or DEFAULT_PROJECT)
    return ExitCode.OK


COMMAND = Command("feedback", "Say what findings were worth; dismissed ones stay away.", add_arguments, run)


def _record(arguments: argparse.Namespace, project: str) -> None:
    try:
        entry = Feedback(
            fingerprint=arguments.fingerprint,
            verdict=FeedbackVerdict(arguments.verdict),
            project=project,
            adapter=arguments.adapter,
            source=FeedbackSource.CLI,
            role=arguments.role,
            reason=arguments.reason,
        )
    except ValidationError as error:
        raise refused(error) from error
    with open_store(load_settings()) as store:
        store.feedback.record(entry)
    if arguments.json:
        print_json(entry)
    else:
        effect = "later reviews leave it out" if entry.verdict.suppresses else "noted"
        print(f"{entry.fingerprint} is {entry.verdict} in {project}: {effect}")


def _list(arguments: argparse.Namespace, project: str) -> None:
    if arguments.limit < 1:
        raise InputError(f"--limit: {arguments.limit} is not above 0")
    wanted = None if arguments.all else project
    with open_store(load_settings()) as store:
        entries = store.feedback.list_feedback(wanted, arguments.fingerprint, arguments.limit)
    if arguments.json:
        print_json(entries)
    elif entries:
        rows = [
            (e.created, e.project, e.fingerprint, e.verdict, e.source, e.role, e.adapter, e.reason)
            for e in entries
        ]
        print_table(
            ("when", "project", "fingerprint", "verdict", "source", "role", "adapter", "reason"), rows
        )
    else:
        print("no feedback" if arguments.all else f"no feedback in project {project}")


def _remove(arguments: argparse.Namespace, project: str) -> None:
    with open_store(load_settings()) as store:
        count = store.feedback.remove(project, arguments.fingerprint)
    if count == 0:
        raise InputError(f"no feedback about {arguments.fingerprint} in project {project}")
    if arguments.json:
        print_json({"removed": count})
    else:
        print(f"{count} removed; later reviews may report {arguments.fingerprint} again")


def _export(arguments: argparse.Namespace, project: str) -> None:
    wanted = None if arguments.all else project
    with open_store(load_settings()) as store, _opened(arguments.output) as file:
        for entry in store.feedback.export(wanted):
            file.write(f"{entry.model_dump_json()}\n")


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
