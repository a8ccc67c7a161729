"""The guides about deploying name files that exist and commands that the programs understand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.__main__ import _parser as bot_parser
from engine.__main__ import build_parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "deploy" / "docs"
GUIDES = [
    ROOT / "deploy" / "README.md",
    *(DOCS / f"{name}.md" for name in ("airgap", "egress", "operations")),
]
PARSERS = {"tenken": build_parser, "tenken-bot": bot_parser}
_IN_CONTAINERS = {"engine": "tenken", "bot": "tenken-bot"}


def calls(line: str) -> Iterator[tuple[str, list[str]]]:
    """Give each call of our programs in a line, also one in a container: program and arguments."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["docker", "compose"] and "--rm" in words:
        service, *rest = words[words.index("--rm") + 1 :]
        yield _IN_CONTAINERS[service], rest
    for place, word in enumerate(words):
        if Path(word).name in PARSERS and (place == 0 or words[0] == "sudo"):
            yield Path(word).name, words[place + 1 :]


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return the calls in blocks of code."""
    blocks = [re.sub(r"\\\n\s*", "", block) for block in re.findall(r"```\n(.*?)```", text, re.S)]
    lines = [line for block in blocks for line in block.splitlines()]
    return [call for line in lines for call in calls(line)]


def mentions(text: str) -> list[tuple[str, list[str]]]:
    """Return the calls in the middle of a sentence, which may leave out what is needed."""
    spoken = re.findall(r"`(tenken[^`]*)`", re.sub(r"```\n.*?```", "", text, flags=re.S))
    return [call for line in spoken for call in calls(line) if call[1]]


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_commands_are_understood(path: Path) -> None:
    """Each is parsed by the program itself; of one that is only mentioned, the subcommand exists."""
    text = path.read_text("utf-8")
    for program, words in commands(text):
        assert PARSERS[program]().parse_args(words).run, words
    for program, words in mentions(text):
        assert re.search(rf"^    {words[0]}\b", PARSERS[program]().format_help(), re.M), words


def test_there_are_commands_to_test() -> None:
    """Else the test above could not fail."""
    texts = [path.read_text("utf-8") for path in GUIDES]
    assert sum(len(commands(text)) for text in texts) >= 9
    assert sum(len(mentions(text)) for text in texts) >= 5
    with pytest.raises(SystemExit):
        build_parser().parse_args(["doctor", "--deplyo"])


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """To files of this repository; the names in the index' table, too."""
    text = path.read_text("utf-8")
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert link.startswith("https://") or (path.parent / link).exists(), link
    if path.name == "README.md":
        for name in re.findall(r"^\| \[?`([a-z./-]+)`", text, re.M):
            assert (path.parent / name).exists(), name


def test_every_folder_is_in_the_index() -> None:
    """Whoever opens deploy/README.md finds everything."""
    text = GUIDES[0].read_text("utf-8")
    for entry in (ROOT / "deploy").iterdir():
        if not entry.name.endswith((".env", ".md", ".pyc")) and entry.name != "__pycache__":
            assert f"`{entry.name}" in text, entry.name
