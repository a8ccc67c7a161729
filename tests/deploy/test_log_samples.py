"""The samples of logs are what the programs print: events, fields and their order."""

from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from engine.logs import log_json

ROOT = Path(__file__).parents[2]
SAMPLES = [
    pytest.param(path.stem, line, id=f"{path.stem}-{number}")
    for path in sorted((ROOT / "deploy" / "logs").glob("*.jsonl"))
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
]
_ADDED = {"event", "level", "timestamp"}
_LEVELS = ("debug", "info", "warning", "error")
_OF_ERRORS = {"error", "where"}


@dataclass(frozen=True)
class Logged:
    """A line of code that logs."""

    event: str
    level: str  # none: it is chosen while the program runs
    fields: frozenset[str]


def calls(package: str) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Give what is called in a package: the name, the last text among what it is given, the keywords."""
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                texts = [str(word.value) for word in node.args if isinstance(word, ast.Constant)]
                yield name, texts[-1] if texts else "", frozenset(word.arg or "" for word in node.keywords)


def logged(package: str) -> Iterator[Logged]:
    """Give each line of code in a package that may log."""
    for name, event, fields in calls(package):
        if name == "exception":
            yield Logged(event, "error", fields | _OF_ERRORS)
        else:
            yield Logged(event, name if name in _LEVELS else "", fields)


EVENTS = {package: list(logged(package)) for package in ("engine", "bot")}
BOUND = {
    package: {field for name, _, fields in calls(package) if name == "bind" for field in fields}
    for package in EVENTS
}


@pytest.mark.parametrize(("program", "line"), SAMPLES)
def test_a_sample_is_an_event_of_the_program(program: str, line: str) -> None:
    """With this level and these fields it is logged somewhere in the program or in the engine."""
    sample = json.loads(line)
    fields = frozenset(sample) - _ADDED
    known = [each for each in EVENTS[program] + EVENTS["engine"] if each.event == sample["event"]]
    fits = [each for each in known if each.level in ("", sample["level"])]
    # A ** in the call: an error's type and place.
    more = {each: BOUND[program] | (_OF_ERRORS if "" in each.fields else set()) for each in fits}
    assert any(each.fields - {""} <= fields and fields - each.fields <= more[each] for each in fits), known


@pytest.mark.parametrize(("program", "line"), SAMPLES)
def test_a_sample_is_printed_like_that(program: str, line: str) -> None:
    """The same event, logged now, is the same line but for the time."""
    sample = json.loads(line)
    fields = {name: value for name, value in sample.items() if name not in _ADDED}
    stream, handlers = io.StringIO(), logging.getLogger().handlers
    log_json(stream=stream)
    try:
        structlog.get_logger().log(
            logging.getLevelNamesMapping()[sample["level"].upper()], sample["event"], **fields
        )
    finally:
        logging.getLogger().handlers = handlers
    printed = json.loads(stream.getvalue())
    assert list(printed) == list(sample)
    assert stream.getvalue().rstrip("\n") == line.replace(sample["timestamp"], printed["timestamp"])
