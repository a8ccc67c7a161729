"""The documentation: its links lead somewhere, the files that it names exist, its commands are known."""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import shown_commands
from shown_commands import DOCS, PAGES, ROOT

import bot.__main__
import engine.__main__
import lsp.__main__
import training.__main__
from bot.registry import CommandSpec
from engine.config import parse_config
from engine.wire import Language

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "tenken": engine.__main__.build_parser,
    "tenken-bot": bot.__main__._parser,
    "tenken-train": training.__main__._parser,
    "tenken-lsp": lsp.__main__._parser,
}
GOALS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

_FENCED = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_MENTIONED = re.compile(r"`(tenken(?:-bot|-train|-lsp)? [^`]+)`")
_FILE = re.compile(r"`((?:bot|engine|lsp|training|tests|deploy)/[\w./-]*\w)`")


def blocks(page: Path, *kinds: str) -> Iterator[str]:
    """Yield the fenced blocks of these languages."""
    for kind, text in _FENCED.findall(page.read_text("utf-8")):
        if kind in kinds:
            yield text


def prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text("utf-8"))


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command, without comments."""
    for block in shown_commands.blocks(page):
        yield from filter(None, (shlex.split(line, comments=True) for line in block.lines()))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitLab and GitHub make of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading in it."""
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_are_named_exist(page: Path) -> None:
    """Code moves, and its description has to follow."""
    missing = {name for name in _FILE.findall(prose(page)) if not (ROOT / name).exists()}
    assert missing <= {"deploy/postgres-password"}  # which its reader is told to make


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_are_known(page: Path) -> None:
    """Our programs take the arguments, extras exist, and so do make's goals, whether these are run or not."""
    for program, *words in commands(page):
        name = Path(program).name
        if name in PARSERS:
            PARSERS[name]().parse_args(words)
        elif name == "pip":
            for extras in re.findall(r"(?:tenken|\.)\[([\w,]+)\]", " ".join(words)):
                assert set(extras.split(",")) <= set(EXTRAS)
        elif name == "make":
            assert set(words) <= set(GOALS)
        elif name == "accelerate":
            PARSERS["tenken-train"]().parse_args(words[words.index("training") + 1 :])


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_in_sentences_are_known(page: Path) -> None:
    """They may leave out what is needed, but name no command or option that is not there."""
    for code in _MENTIONED.findall(prose(page)):
        program, *words = shlex.split(code)
        parser = PARSERS[program]()
        while words and (choices := subcommands(parser)) and not words[0].startswith("-"):
            names = words.pop(0).split("|")
            assert set(names) <= set(choices), code
            parser = choices[names[0]]
        known = {option for action in parser._actions for option in action.option_strings}
        assert {word for word in words if word.startswith("--")} <= known, code


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return next((dict(action.choices) for action in found), {})


def test_the_example_of_a_projects_settings_is_one() -> None:
    """With every key it has to have."""
    [example] = blocks(DOCS / "maintainers.md", "toml")
    assert parse_config(example.encode()).auto_review


def test_the_example_of_a_command_is_one() -> None:
    """What whoever follows the page writes loads, and its command answers in both languages."""
    [module] = blocks(DOCS / "contributing.md", "python")
    made: dict[str, Any] = {}
    exec(module, made)
    spec = made["COMMAND"]
    assert isinstance(spec, CommandSpec)
    assert set(spec.about) == set(Language)
    said = {asyncio.run(spec.run(None, SimpleNamespace(language=language))) for language in Language}
    assert len(said) == len(Language)


def test_the_page_of_settings_is_current(
    golden: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made of the classes; `make golden` makes it anew."""
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    from settings_page import page  # type: ignore[import-not-found]

    golden(DOCS / "settings.md", page())
    assert [row for row in page().splitlines() if row.endswith("|  |")] == []  # each says what it means


def test_the_japanese_first_hour_has_the_same_commands() -> None:
    """What differs is the language alone."""
    english, japanese = (list(commands(DOCS / name)) for name in ("first-hour.md", "ja/first-hour.md"))
    assert english == japanese
