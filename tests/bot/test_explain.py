"""`tenken-bot explain-event`: what would be done with a payload, and why nothing was."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from payloads import BOT_USER, POSITION, emoji_payload, mr_payload, note_payload

from bot.__main__ import main
from bot.markers import Marker, MarkerKind, marked
from engine.exits import ExitCode

FINDING = marked("x", Marker(MarkerKind.FINDING, "0123456789abcdef"))


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BOT_ENV_FILE", "BOT_IGNORED_USERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def explain(payload: object, event: str = "Note Hook", *options: str) -> dict[str, Any]:
        file = tmp_path / "payload.json"
        file.write_text(json.dumps(payload), "utf-8")
        assert main(["explain-event", str(file), "--event", event, *options]) == ExitCode.OK
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return explain


def test_a_command_is_explained(explained: Any) -> None:
    """With its arguments, and where it was written."""
    found = explained(note_payload('/review "a b" --full\n/help', position=POSITION))
    assert found == {
        "action": "command",
        "reason": "commands at the start of a line",
        "commands": [
            {"name": "review", "arguments": ["a b", "--full"]},
            {"name": "help", "arguments": []},
        ],
        "project": 42,
        "iid": 3,
        "note": 555,
        "discussion": "d1",
        "position": POSITION,
    }


@pytest.mark.parametrize(
    ("payload", "event", "action", "reason"),
    [
        (note_payload("looks good"), "Note Hook", "ignore", "no line of the note starts with a command"),
        (note_payload("```\n/review\n```"), "Note Hook", "ignore", "/review is part of code"),
        (note_payload("/reveiw"), "Note Hook", "ignore", "no such command: reveiw; the answer names /review"),
        (note_payload("/review", action="update"), "Note Hook", "command", "do not run again"),
        (note_payload("/review", internal=True), "Confidential Note Hook", "command", "commands"),
        (mr_payload("open"), "Merge Request Hook", "trigger", "auto_review in .tenken.toml of the target"),
        (mr_payload("open"), "System Hook", "trigger", "opened"),
        (mr_payload("close"), "Merge Request Hook", "ignore", "nothing that starts a review: close"),
        (emoji_payload("thumbsdown", note=FINDING), "Emoji Hook", "trigger", "called wrong"),
        ({}, "Note Hook", "ignore", "not on a merge request"),
        ({}, "Push Hook", "ignore", "Push Hook is not read"),
        ({}, "", "ignore", "without a name"),
    ],
)
def test_every_kind_of_event_is_explained(
    explained: Any, payload: dict[str, Any], event: str, action: str, reason: str
) -> None:
    """What is done, and in words why."""
    found = explained(payload, event)
    assert found["action"] == action
    assert reason in found["reason"]
    assert list(found) == ["action", "reason", "commands", "project", "iid", "note", "discussion", "position"]


@pytest.mark.parametrize("user", ["tenken", "@Tenken", "99"])
def test_the_bots_own_notes_are_known(explained: Any, user: str) -> None:
    """By name or by id."""
    found = explained(note_payload(user=BOT_USER), "Note Hook", "--bot-user", user)
    assert (found["action"], found["reason"]) == ("ignore", "the bot did this itself")


def test_a_mention_needs_the_bots_name(explained: Any) -> None:
    """Then `@bot command` is one."""
    assert explained(note_payload("@tenken review"))["action"] == "ignore"
    found = explained(note_payload("@tenken review"), "Note Hook", "--bot-user", "tenken")
    assert found["commands"] == [{"name": "review", "arguments": []}]


def test_ignored_users_are_those_of_the_settings(explained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bot itself would ignore them."""
    monkeypatch.setenv("BOT_IGNORED_USERS", '["DEV"]')
    assert "BOT_IGNORED_USERS" in explained(note_payload())["reason"]


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """- stands for it."""
    stdin = io.TextIOWrapper(io.BytesIO(json.dumps(note_payload()).encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["explain-event", "-", "--event", "Note Hook"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["action"] == "command"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"\xff\xff", "not JSON"),
        (b'{"object_attributes": {"note": []}}', "object_attributes.note"),
        (b'{"project": "x"}', "project: "),
    ],
)
def test_a_bad_file_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    """One line that names file and key, and exit code 2."""
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    assert main(["explain-event", str(file), "--event", "Note Hook"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"tenken-bot: {file}: ")
    assert reason in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """So with one that is not there, and with a directory."""
    assert main(["explain-event", str(tmp_path / name), "--event", "Note Hook"]) == ExitCode.USAGE
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["explain-event"], ["explain-event", "x"], ["nothing"]])
def test_a_wrong_command_line_is_an_error(arguments: list[str]) -> None:
    """Exit code 2, as everywhere."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == ExitCode.USAGE
