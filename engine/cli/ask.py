"""`tenken ask`: a question about lines of a file, answered by the model."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from engine.cli.command import Command, Surroundings, refused
from engine.cli.interrupts import interruptible
from engine.cli.listing import print_json
from engine.cli.where import add_adapter, add_where, engine_elsewhere, remembered
from engine.client import LocalReviewClient, ReviewClient
from engine.config import load_config, repository_root
from engine.errors import InputError
from engine.exits import ExitCode
from engine.sanitize import plain
from engine.settings import EngineSettings, load_settings
from engine.texts import TEXTS
from engine.wire import Answer, Language, Question

_AROUND = 60  # lines that are offered before and after those that are meant; the engine takes what fits
_LINES = re.compile(r"([1-9]\d{0,8})(?:-([1-9]\d{0,8}))?", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tenken ask` understands."""
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--path", type=Path, required=True, metavar="FILE", help="the file it is about")
    parser.add_argument("--line", metavar="N[-M]", help="the lines it is about; all of them if not given")
    parser.add_argument(
        "--lang", choices=[language.value for language in Language], help="language of the answer"
    )
    add_adapter(parser)
    add_where(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, around: Surroundings) -> ExitCode:
    """Print the answer."""
    language = Language(arguments.lang or load_config(repository_root(around.folder)).language)
    question = _question(arguments, around.folder, language)
    with interruptible() as cancellation, closing(_client(arguments, around, load_settings())) as client:
        answer = client.ask(question, cancellation=cancellation)
    if answer is None:
        return ExitCode.INTERRUPTED
    if arguments.json:
        print_json(answer)
    else:
        _show(answer, language)
    return ExitCode.OK


COMMAND = Command("ask", "Ask a question about lines of a file.", add_arguments, run)


def _client(arguments: argparse.Namespace, around: Surroundings, settings: EngineSettings) -> ReviewClient:
    if (client := engine_elsewhere(arguments, settings)) is not None:
        return client
    adapter, _ = remembered(arguments, settings, around.folder)
    return LocalReviewClient(around.open_runner(settings, adapter), context=settings.context)


def _question(arguments: argparse.Namespace, folder: Path, language: Language) -> Question:
    rows = _read(folder / arguments.path)
    meant = _range(arguments.line, len(rows)) if arguments.line else None
    first, last = meant or (1, len(rows))
    start = max(1, first - _AROUND)
    try:
        return Question(
            question=arguments.question,
            path=arguments.path.as_posix(),
            code="".join(f"{row}\n" for row in rows[start - 1 : last + _AROUND]),
            first_line=start,
            lines=meant,
            language=language,
            project=arguments.project or "",
            adapter=arguments.adapter or "",
        )
    except ValidationError as error:
        raise refused(error) from error


def _read(path: Path) -> list[str]:
    """Return the file's lines, counted as an editor counts them: by line ends alone."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return text.removesuffix("\n").split("\n") if text else []


def _range(text: str, count: int) -> tuple[int, int]:
    match = _LINES.fullmatch(text)
    if match is None:
        raise InputError(f"--line: {text} is neither a line nor a range such as 12-14")
    first = int(match[1])
    last = int(match[2] or first)
    if not first <= last <= count:
        raise InputError(f"--line: {text} is not within the {count} lines of the file")
    return first, last


def _show(answer: Answer, language: Language) -> None:
    texts = TEXTS[language]
    print(plain(answer.text))
    if answer.truncated:
        print(f"tenken: {texts.answer_truncated}", file=sys.stderr)
    if answer.left_out:
        print(f"tenken: {texts.answer_left_out}", file=sys.stderr)
