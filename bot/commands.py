"""Note text -> commands. Pure: who may run them and what they do is elsewhere (`registry`, `handlers`).

A command stands at the start of a line, as `/name ...` or `@bot name ...`, where its author says it: not in
code, quotes or HTML. GitLab takes its own quick actions out of a note before it gets here.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import shlex
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from bot.note_text import Hidden, Line, lines_of

MAX_COMMANDS = 10  # in one note
_SLASH = r"(?P<slash>[/／])(?P<name>[^\W\d_][\w-]*)(?P<text>\s.*)?$"
_DASHES = re.compile(r"^[—–]+(?=\w)")  # what some keyboards make of --
_FULL_WIDTH_SPACE = "\u3000"
_CLOSE = 0.75
_SHORTEST_GUESS = 4

GITLAB_QUICK_ACTIONS: frozenset[str] = frozenset(
    {
        *("approve", "assign", "assign_reviewer", "award", "blocks", "clone", "close", "copy_metadata"),
        *("done", "draft", "due", "duplicate", "epic", "estimate", "iteration", "label", "labels"),
        *("link", "lock", "merge", "milestone", "move", "page", "publish", "react", "ready"),
        *("reassign", "reassign_reviewer", "rebase", "relabel", "relate", "remove_label"),
        *("remove_reviewer", "reopen", "request_changes", "request_review", "reviewer", "severity"),
        *("ship", "shrug", "spend", "status", "submit_review", "subscribe", "tableflip", "tag"),
        *("target_branch", "timeline", "title", "todo", "type", "unapprove", "unassign"),
        *("unassign_reviewer", "unlabel", "unlock", "unsubscribe", "weight", "zoom"),
    }
)
"""Names that never reach the bot, and that it must not take."""


class Command(BaseModel):
    """What somebody asks the bot to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    text: str = ""  # behind the name, as it was written; of some commands with the lines that follow

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words of `text`; quotes hold a word with spaces together."""
        try:
            words = shlex.split(self.text.replace(_FULL_WIDTH_SPACE, " "))
        except ValueError:  # an apostrophe, not a quote
            words = self.text.split()
        return tuple(_DASHES.sub("--", word) for word in words)

    @property
    def key(self) -> str:
        """The same for the same command, however it is spaced: an edited note does not run it again."""
        digest = hashlib.sha256(" ".join(self.text.split()).encode()).hexdigest()
        return f"{self.name}-{digest[:12]}"


@dataclass(frozen=True, slots=True)
class Unheard:
    """What looks like a command and is none, as its line is part of something else."""

    name: str
    hidden: Hidden


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not a command, but close to the one guessed; without a guess, the bot was spoken to by its name."""

    name: str
    guess: str | None


@dataclass(frozen=True, slots=True)
class Grammar:
    """Names of commands; `multiline` ones take the lines that follow as well."""

    names: Collection[str]
    multiline: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a note says to the bot."""

    commands: tuple[Command, ...] = ()
    unheard: tuple[Unheard, ...] = ()
    unknown: tuple[Unknown, ...] = ()


@dataclass(frozen=True, slots=True)
class _Call:
    """A line that may call a command."""

    number: int
    hidden: Hidden | None
    name: str
    text: str
    mentioned: bool
    full_width: bool


def parse_note(text: str, grammar: Grammar, username: str = "") -> Parsed:
    """Return what a note says to the bot called `username`; the same command twice is one."""
    pattern = _pattern(username)
    lines = lines_of(text, pattern)
    calls = tuple(_calls(lines, pattern))
    said = [call for call in calls if call.hidden is None]
    ends = [*(call.number for call in said), len(lines)][1:]
    commands = (
        _command(call, lines[call.number + 1 : end] if call.name in grammar.multiline else ())
        for call, end in zip(said, ends, strict=True)
        if _is_exact(call, grammar)
    )
    unknown = (
        Unknown(call.name, _guess(call.name, grammar.names)) for call in said if not _is_exact(call, grammar)
    )
    mentions = {call.name for call in said if call.mentioned}
    return Parsed(
        commands=tuple({command.key: command for command in commands}.values())[:MAX_COMMANDS],
        unheard=tuple(
            Unheard(call.name, call.hidden) for call in calls if call.hidden and call.name in grammar.names
        ),
        unknown=tuple(one for one in unknown if one.guess or one.name in mentions),
    )


def _pattern(username: str) -> re.Pattern[str]:
    if not username:
        return re.compile(_SLASH)
    mention = rf"@{re.escape(username)}[:,]?(?=\s|$)(?:\s+/?(?P<told>\S+)(?P<more>\s.*)?)?\s*$"
    return re.compile(f"{_SLASH}|{mention}", re.IGNORECASE)


def _calls(lines: Iterable[Line], pattern: re.Pattern[str]) -> Iterator[_Call]:
    for number, line in enumerate(lines):
        if match := pattern.match(line.text):
            found = match.groupdict(default="")
            yield _Call(
                number,
                line.hidden,
                (found["name"] or found.get("told", "")).lower(),
                (found["text"] or found.get("more", "")).strip(),
                mentioned=not found["slash"],
                full_width=found["slash"] == "／",
            )


def _is_exact(call: _Call, grammar: Grammar) -> bool:
    return call.name in grammar.names and not call.full_width


def _command(call: _Call, following: Iterable[Line]) -> Command:
    text = "\n".join((call.text, *(line.text for line in following)))
    return Command(name=call.name, text=text.strip())


def _guess(name: str, names: Collection[str]) -> str | None:
    """Return the command that was probably meant."""
    folded = unicodedata.normalize("NFKC", name)
    if folded in names:
        return folded
    if folded in GITLAB_QUICK_ACTIONS:
        return None
    # Short words are close to too many others: /task is not /ask.
    long = sorted(known for known in names if len(known) >= _SHORTEST_GUESS)
    close = difflib.get_close_matches(folded, long, n=1, cutoff=_CLOSE)
    return close[0] if close else None
