"""A question about given lines, answered: fit them into the prompt, have the model write, read what it wrote.

What is around the lines is shown while it fits, the nearest first; then the beginning of the diff. What is
meant itself is never cut: it fits, or the question is refused.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile, zip_longest

from engine.errors import InputError, RunnerError
from engine.languages import language_of
from engine.prompts import AskContext, ask_prompt, code_row
from engine.replies import printable
from engine.runners import Cancellation, Reply, Runner, WriteRequest
from engine.version import tool_version
from engine.wire import Answer, Question, Usage

ANSWER_LENGTH = 1200
"""Characters an answer may have."""
ANSWER_TOKENS = 400
"""Token budget of an answer; Japanese takes about one for each two characters."""

_SLACK = 24  # tokens: BOS, what stands around a diff, and seams between lines
_LONGEST_ROUND, _ROUNDS, _LEAST_LOOP = 120, 4, 40  # characters, times, characters
_LEAST_BABBLE, _SAYS_LITTLE = 200, 0.25  # bytes, and what compression leaves of them; prose keeps half
_CUT_OFF = re.compile(r'\s*\{\s*"answer"\s*:\s*"((?:[^"\\]|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])*)')


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question as the model will read it."""

    prompt: str
    left_out: bool  # something around it did not fit


def ask(
    question: Question, runner: Runner, room: int, cancellation: Cancellation | None = None
) -> Answer | None:
    """Return the answer to `question`, or None where it was cancelled before that.

    Raises InputError for one that does not fit into `room` tokens with its answer, and RunnerError where the
    model fails.
    """
    prepared = prepare(question, runner.count_tokens, room)
    return answer(prepared, runner, cancellation or Cancellation())


def prepare(question: Question, count_tokens: Callable[[str], int], room: int) -> Prepared:
    """Return the prompt, which leaves room for an answer; raises InputError where that cannot be."""
    if not question.question.strip():
        raise InputError("question: it is blank")
    rows, diff = _rows(question), question.diff.strip("\n")
    meant = _meant(question, len(rows))
    context = AskContext(
        path=question.path,
        language=language_of(question.path) or "text",
        rows=rows[meant.start : meant.stop],
        lines=question.lines,
        finding=question.finding,
    )
    fitting = _Fitting(count_tokens, room - ANSWER_TOKENS - _SLACK - count_tokens(_prompt(question, context)))
    around = fitting.around(rows, meant)
    beginning = fitting.beginning(diff)
    if not (rows or beginning.strip()):
        raise InputError("diff: its first line is too long")
    context = replace(context, rows=rows[around.start : around.stop], diff=beginning)
    return Prepared(_prompt(question, context), len(around) < len(rows) or beginning != diff)


def answer(prepared: Prepared, runner: Runner, cancellation: Cancellation) -> Answer | None:
    """Return what the model says, or None where it was cancelled before that; raises RunnerError."""
    # Nothing of it was scored before, so all of it is new to the runner.
    request = WriteRequest("", prepared.prompt, answer_schema(), ANSWER_TOKENS)
    for _, reply in runner.write([request], cancellation):
        text = read_answer(reply.text)
        truncated = reply.truncated or len(text) >= ANSWER_LENGTH
        # A model that has lost its way goes round until its budget ends.
        text = end_loop(text) if truncated else text.strip()
        if not text:
            raise RunnerError("the model gave no answer")
        if is_babble(text):
            raise RunnerError("the model only repeats itself: it is too small for this question")
        return Answer(
            text=text,
            truncated=truncated,
            left_out=prepared.left_out,
            base_model=runner.base_model,
            adapter=runner.adapter,
            tool_version=tool_version(),
            usage=_usage(reply),
        )
    return None


def answer_schema() -> dict[str, object]:
    """Return the JSON schema of what the model writes, in the dialect of llguidance."""
    return {
        "type": "object",
        "properties": {"answer": {"type": "string", "minLength": 1, "maxLength": ANSWER_LENGTH}},
        "required": ["answer"],
        "additionalProperties": False,
        "x-guidance": {"whitespace_flexible": False},
    }


def read_answer(text: str) -> str:
    """Return the answer in what the model wrote, as far as it goes; empty where there is none."""
    try:
        found = json.loads(text)["answer"]
    except (ValueError, RecursionError, TypeError, KeyError):
        match = _CUT_OFF.match(text)
        found = json.loads(f'"{match[1]}"', strict=False) if match else ""
    return printable(found) if isinstance(found, str) else ""


def end_loop(text: str) -> str:
    """Return `text` up to where it begins to say the same again and again until its end."""
    return min((_once(text, period) for period in range(1, _LONGEST_ROUND + 1)), key=len).strip()


def is_babble(text: str) -> bool:
    """Tell whether a text of some length says next to nothing."""
    data = text.encode("utf-8", "replace")
    return len(data) >= _LEAST_BABBLE and len(zlib.compress(data)) < _SAYS_LITTLE * len(data)


def _once(text: str, period: int) -> str:
    start = len(text) - period
    while start > 0 and text[start - 1] == text[start - 1 + period]:
        start -= 1
    is_loop = len(text) - start >= max(_LEAST_LOOP, _ROUNDS * period)
    return text[: start + period] if is_loop else text


class _Fitting:
    """Spends the room there is on one line after the other."""

    def __init__(self, count_tokens: Callable[[str], int], room: int) -> None:
        if room < 0:
            raise InputError(
                f"the question and its lines are {-room} tokens too long: ask about fewer lines, "
                "or raise ENGINE_CONTEXT"
            )
        self._count = count_tokens
        self._room = room

    def around(self, rows: Sequence[str], meant: range) -> range:
        """Return which of `rows` are shown: those meant, and the nearest that fit."""
        start, stop = meant.start, meant.stop
        nearest = zip_longest(range(start - 1, -1, -1), range(stop, len(rows)))
        for index in (index for pair in nearest for index in pair if index is not None):
            if not self._has_room_for(rows[index]):
                break
            start, stop = min(start, index), max(stop, index + 1)
        return range(start, stop)

    def beginning(self, text: str) -> str:
        """Return the first lines of `text`, those that fit."""
        return "\n".join(takewhile(self._has_room_for, text.split("\n")))

    def _has_room_for(self, line: str) -> bool:
        cost = self._count(line) + 1  # its end
        if cost > self._room:
            return False
        self._room -= cost
        return True


def _prompt(question: Question, context: AskContext) -> str:
    return ask_prompt(question.question, context, question.language)


def _rows(question: Question) -> list[str]:
    if not question.code.strip():
        return []
    lines = question.code.removesuffix("\n").split("\n")
    return [code_row(number, line.rstrip("\r")) for number, line in enumerate(lines, question.first_line)]


def _meant(question: Question, rows: int) -> range:
    if not (question.lines and rows):
        return range(rows)
    first, last = question.lines
    return range(first - question.first_line, last - question.first_line + 1)


def _usage(reply: Reply) -> Usage:
    return Usage(
        prompt_tokens=reply.prompt_tokens, cached_tokens=reply.cached_tokens, written_tokens=reply.tokens
    )
