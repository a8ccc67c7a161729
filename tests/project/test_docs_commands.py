"""Every command that the documentation shows is run, or is one of those that need what few machines have."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from followed_pages import ADDED, EXITS, Machine, without_comment
from prepared_machine import machine, served_line
from shown_commands import (
    BLOCKS_NOT_HERE,
    DOCS,
    ELSEWHERE,
    LINES_NOT_HERE,
    PAGES,
    ROOT,
    SHOWN_NOT_SAID,
    Block,
    blocks,
    followed,
    name_of,
)

pytestmark = pytest.mark.timeout(1800)

BLOCKS = [block for page in PAGES for block in blocks(page)]
LINES = [line for block in BLOCKS for line in block.lines()]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine on which all pages are followed."""
    with machine(tmp_path_factory.mktemp("machine")) as made:
        yield made


@pytest.mark.train
@pytest.mark.parametrize("page", followed(), ids=name_of)
def test_the_page_is_followed(page: Path, here: Machine) -> None:
    """Each command ends well, in the order of the page, and prints what the page says it prints."""
    environment, lines = dict(here.environment), []
    for block in blocks(page):
        for line in block.to_run():
            follow(here, block, line, environment)
            lines.append(without_comment(line))
    here.ran |= set(lines)


def follow(here: Machine, block: Block, line: str, environment: dict[str, str]) -> None:
    """Run a command of a page; the engine that serves has done so since the beginning."""
    if without_comment(line) in here.ran or line == served_line():
        return
    if " serve " in line:
        with here.serving(line, environment):
            return
    said = here.run(line, environment)
    assert said.startswith(block.output.removesuffix("  ...\n")), said


def test_a_command_that_does_not_work_is_noticed(here: Machine) -> None:
    """One of ours, a program that is not there, the beginning of a pipe, a variable that nobody set."""
    for line in ("tenken reviews", "no-such-program", "false | cat", 'echo "$NO_SUCH_VARIABLE"'):
        with pytest.raises(AssertionError):
            here.run(line, dict(here.environment))


@pytest.mark.parametrize("start", [*BLOCKS_NOT_HERE, *LINES_NOT_HERE], ids=str.strip)
def test_an_excuse_is_for_something(start: str) -> None:
    """It is for a command that is shown, and what is done instead is there."""
    texts = [block.text for block in BLOCKS] if start in BLOCKS_NOT_HERE else LINES
    assert any(text.startswith(start) for text in texts)
    assert (ROOT / (BLOCKS_NOT_HERE | LINES_NOT_HERE)[start].instead).exists()


def test_most_commands_need_no_excuse() -> None:
    """Else nothing would be shown by following pages."""
    assert len([line for block in BLOCKS for line in block.to_run()]) > len(LINES) / 2


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}: {block.text.splitlines()[0]:.40}")
def test_commands_are_written_as_bash_reads_them(block: Block) -> None:
    """Those that are not run, too."""
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", ELSEWHERE)
def test_a_page_that_is_followed_elsewhere_is(page: str) -> None:
    """The other test names it."""
    assert Path(page).name in (ROOT / ELSEWHERE[page]).read_text("utf-8")


def test_nothing_is_kept_for_commands_that_are_gone(here: Machine) -> None:
    """What is put in another's place or behind it stands in a page, and so do blocks that are no commands."""
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert [example for example in here.instead if example not in text] == []
    assert [start for start in (*ADDED, *EXITS) if not any(line.startswith(start) for line in LINES)] == []
    assert [start for start in SHOWN_NOT_SAID if f"```\n{start}" not in text] == []


def test_the_firewall_is_told_of_the_bridges_that_compose_makes() -> None:
    """By the names that the compose file gives them."""
    compose = yaml.safe_load((ROOT / "deploy" / "compose" / "cpu.yaml").read_text("utf-8"))
    networks = (network or {} for network in compose["networks"].values())
    bridges = {name for network in networks for name in network.get("driver_opts", {}).values()}
    (block,) = (block for block in blocks(DOCS / "egress.md") if block.text.startswith("iptables "))
    assert {line.split(" -i ")[1].split()[0] for line in block.lines()} == bridges
