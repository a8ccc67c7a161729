"""What `tenken-bot` says to input that cannot be used: a line that names it, an exit code, never a trace."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from bot_world import ROOT, SECRET, World, world
from payloads import note_payload

from bot.__main__ import main
from bot.decisions import Identity, Rules
from bot.deliveries import Delivery
from bot.errand_queue import orders_for
from bot.events import parse_payload
from bot.gitlab_connection import Connection
from bot.handlers.catalogue import COMMANDS
from bot.registry import Registry
from bot.workers import only_one
from engine.exits import ExitCode

RULES = Rules(Identity(1, "tenken"), Registry(COMMANDS).grammar)
NOWHERE = "http://127.0.0.1:9"
USABLE = {
    "BOT_GITLAB_URL": NOWHERE,
    "BOT_GITLAB_TOKEN": "glpat-x",
    "BOT_ENGINE_URL": NOWHERE,
    "BOT_POLL_PROJECTS": '["team/app"]',
    "BOT_RETRY_SECONDS": "0",
}


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is away is asked as often as ever, but without pauses."""

    async def no_pause(self: Connection, seconds: float) -> None:
        return None

    monkeypatch.setattr(Connection, "_sleep_if", no_pause)


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run the command and return its exit code, and what it wrote to standard error but for its log."""

    def call(*arguments: str, **settings: str) -> tuple[int, str]:
        for name, value in {**USABLE, "BOT_DATA_DIR": str(tmp_path / "data"), **settings}.items():
            monkeypatch.setenv(name, value)
        try:
            code = main(arguments)
        except SystemExit as stopped:
            code = int(str(stopped.code))
        lines = capsys.readouterr().err.splitlines()
        return code, "\n".join(line for line in lines if not line.startswith(("{", "20")))

    return call


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"BOT_WEBHOOK_SECRETS": "short"}, "BOT_WEBHOOK_SECRETS: not JSON"),
        ({"BOT_ACCESS": "{"}, "BOT_ACCESS: not JSON"),
        ({"BOT_REVIEWS": "many"}, "BOT_REVIEWS: "),
        ({"BOT_GITLAB_URL": "gitlab.example"}, "BOT_GITLAB_URL: an address like https://"),
        ({"BOT_GITLAB_URL": "http://host:port"}, "BOT_GITLAB_URL: an address like https://"),
        ({"BOT_GITLAB_TOKEN": "one\ntwo"}, "BOT_GITLAB_TOKEN: not a token"),
        ({"BOT_GITLAB_TOKEN": "日本"}, "BOT_GITLAB_TOKEN: not a token"),
        ({"BOT_ENGINE_URL": "engine"}, "BOT_ENGINE_URL: an address has to look like"),
        ({"BOT_ENGINE_TOKEN": "one\ntwo"}, "BOT_ENGINE_TOKEN: not a token"),
    ],
)
def test_settings_that_cannot_be_used(
    said: Callable[..., tuple[int, str]], settings: Mapping[str, str], words: str
) -> None:
    """Each is named before anything is sent anywhere."""
    code, text = said("serve", "--port", "0", **settings)
    assert code == ExitCode.USAGE
    assert text.startswith(f"tenken-bot: {words}")
    assert text.count("\n") == 0
    assert "two" not in text


@pytest.mark.parametrize("port", ["99999", "-1", "x", "²", "1.5"])
@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_port_that_is_none(said: Callable[..., tuple[int, str]], command: str, port: str) -> None:
    """It is refused before anything has started."""
    code, text = said(command, f"--port={port}")
    assert code == ExitCode.USAGE
    assert "is no port" in text


def test_a_gitlab_that_is_away(said: Callable[..., tuple[int, str]]) -> None:
    """When patience is over; its address is named, the token is not."""
    code, text = said("serve", "--port", "0")
    assert (code, text) == (ExitCode.ENGINE, f"tenken-bot: no answer from {NOWHERE}: ConnectionError")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_waits_for_gitlab_can_be_stopped(tmp_path: Path, number: signal.Signals) -> None:
    """At once, and not when patience is over."""
    environment = {**os.environ, **USABLE, "BOT_DATA_DIR": str(tmp_path), "BOT_RETRY_SECONDS": "3600"}

    async def run() -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "serve", "--port", "0"),
            cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            async with asyncio.timeout(240):
                while b"step.again" not in await process.stderr.readline():
                    assert process.returncode is None
                process.send_signal(number)
                said = await process.stderr.read()
                return await process.wait(), said
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    code, said = asyncio.run(run())
    assert (code, b"Traceback" in said) == (ExitCode.OK, False)


def test_a_place_to_listen_that_there_is_not(tmp_path: Path) -> None:
    """It is told as that, and not as a fault of the data directory."""
    command = ("-m", "bot", "serve", "--host", "192.0.2.1", "--port", "9")  # a host that nobody is

    async def run() -> tuple[int | None, str]:
        async with world(tmp_path) as at:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=ROOT, stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **of(at), "BOT_DATA_DIR": str(tmp_path / "data")},
            )  # fmt: skip
            _, said = await process.communicate()
            return process.returncode, said.decode()

    code, text = asyncio.run(run())
    assert code == ExitCode.USAGE
    assert text.splitlines()[-1].startswith("tenken-bot: cannot listen on 192.0.2.1:9: ")


def test_errors_inside_a_workers_lock_are_their_own(tmp_path: Path) -> None:
    """What goes wrong while the lock is held has nothing to do with its file."""
    with pytest.raises(OSError, match="unplugged"), only_one("one", tmp_path):
        raise OSError("unplugged")
    with only_one("one", tmp_path):
        pass


@pytest.mark.parametrize(
    ("settings", "bad"),
    [
        ({"BOT_GITLAB_TOKEN": "glpat-wrong"}, {"token", "team/app"}),
        ({"BOT_GITLAB_URL": NOWHERE}, {"GitLab"}),
        ({"BOT_POLL_PROJECTS": '["no/such", "99", "²"]'}, {"no/such", "99", "²"}),
        ({"BOT_ENGINE_URL": NOWHERE}, {"engine"}),
        ({"BOT_ENGINE_URL": "engine"}, {"engine"}),
    ],
)
def test_a_check_names_what_is_wrong_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    settings: Mapping[str, str], bad: set[str],
) -> None:  # fmt: skip
    """A server that is away is one problem, not five; a token that is refused is the token's."""

    async def run() -> None:
        async with world(tmp_path) as at:
            for name, value in {**of(at), "BOT_DATA_DIR": str(tmp_path / "data"), **settings}.items():
                monkeypatch.setenv(name, value)
            assert await asyncio.to_thread(main, ("check", "--json")) == ExitCode.ENGINE

    asyncio.run(run())
    checks = json.loads(capsys.readouterr().out)
    assert {check["name"] for check in checks if check["health"] == "problem"} == bad


def of(at: World) -> dict[str, str]:
    return {
        "BOT_GITLAB_URL": at.fake.url,
        "BOT_GITLAB_TOKEN": at.fake.bot.token,
        "BOT_ENGINE_URL": at.engine_url,
        "BOT_WEBHOOK_SECRETS": json.dumps([SECRET]),
        "BOT_POLL_PROJECTS": json.dumps([at.project.path]),
    }


def test_a_project_or_group_that_there_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`register` says which one it is."""

    async def run() -> None:
        async with world(tmp_path) as at:
            for name, value in of(at).items():
                monkeypatch.setenv(name, value)
            for option, given in (("--project", "no/such"), ("--project", "²"), ("--group", "nobody")):
                command = ("register", "https://bot.example/webhook", option, given)
                assert await asyncio.to_thread(main, command) == ExitCode.USAGE
                assert capsys.readouterr().err.startswith(f"tenken-bot: {given}: 404 ")

    asyncio.run(run())


HALVES = ("/review \ud800", "/ask \udc00\ud800?", "\ud83d")


@pytest.mark.parametrize("text", HALVES)
def test_half_a_character_is_replaced(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No database takes one: what is around it is read, stored and explained as ever."""
    payload = note_payload(text)
    body = json.dumps(payload).encode()
    for order in orders_for(Delivery("Note Hook", body, 1), RULES):
        json.dumps(order.payload, ensure_ascii=False).encode()
    file = tmp_path / "payload.json"
    file.write_bytes(body)
    assert main(("explain-event", str(file), "--event", "Note Hook")) == ExitCode.OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["action"] == ("command" if text.startswith("/") else "ignore")


def test_whole_characters_are_left_alone() -> None:
    """Pairs of escapes are one character, in UTF-16, too; so is what merely looks like an escape."""
    payload = {"a": "\U0001f440 \\ud800", "b": "日本"}
    assert parse_payload(json.dumps(payload)) == payload
    assert parse_payload(json.dumps(payload).encode("utf-16")) == payload
