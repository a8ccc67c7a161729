"""`tenken-bot check` and `register`, by their command line against a fake GitLab."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bot_world import SECRET, World, world
from both_languages import require_same, texts_of

from bot.__main__ import main
from bot.check_texts import CHECK_TEXTS
from bot.checks import HOOK_EVENTS, hook_fault
from bot.cli.register import secret_for
from bot.gitlab import Hook
from bot.settings import BotSettings
from engine.errors import ConfigError
from engine.exits import ExitCode
from engine.wire import Language

URL = "https://bot.example/webhook"
Run = Callable[..., int]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[World], None]:
    """Set the bot's variables for a world."""

    def set_all(at: World) -> None:
        values = {
            "BOT_GITLAB_URL": at.fake.url,
            "BOT_GITLAB_TOKEN": at.fake.bot.token,
            "BOT_ENGINE_URL": at.engine_url,
            "BOT_DATA_DIR": str(tmp_path / "data"),
            "BOT_WEBHOOK_SECRETS": json.dumps([SECRET]),
            "BOT_POLL_PROJECTS": json.dumps([at.project.path]),
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


async def call(*arguments: str) -> int:
    """Run the command beside the fake servers."""
    return await asyncio.to_thread(main, arguments)


def test_all_is_well(
    tmp_path: Path, configured: Callable[[World], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every check is named, none is a problem."""

    async def run() -> None:
        async with world(tmp_path) as at:
            configured(at)
            assert await call("check", "--json") == ExitCode.OK

    asyncio.run(run())
    checks = json.loads(capsys.readouterr().out)
    names = [
        "settings",
        "secrets",
        "tenken-bot",
        "database",
        "GitLab",
        "clock",
        "token",
        "engine",
        "team/app",
    ]
    assert [check["name"] for check in checks] == names
    assert {check["health"] for check in checks} == {"ok"}


def test_what_is_wrong_is_named_with_what_to_do(
    tmp_path: Path,
    configured: Callable[[World], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A misspelt setting, a wrong token, no engine, no role in a project: each is a problem of its own."""

    async def run() -> None:
        async with world(tmp_path) as at:
            configured(at)
            at.project.members[at.fake.bot.id] = 20
            monkeypatch.setenv("BOT_ENGINE_URL", "http://127.0.0.1:9")
            monkeypatch.setenv("BOT_ENGIN_TOKEN", "x")
            assert await call("check", "--json") == ExitCode.ENGINE
            monkeypatch.setenv("BOT_GITLAB_TOKEN", "glpat-wrong")
            assert await call("check") == ExitCode.ENGINE

    asyncio.run(run())
    first, _, second = capsys.readouterr().out.partition("\n]\n")
    problems = {check["name"]: check["advice"] for check in json.loads(f"{first}]") if check["advice"]}
    assert set(problems) == {"settings", "engine", "team/app"}
    assert problems["settings"] == "BOT_ENGIN_TOKEN: did you mean BOT_ENGINE_TOKEN?"
    assert "!!  token" in second


def test_a_check_speaks_japanese(
    tmp_path: Path,
    configured: Callable[[World], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the locale does, or --lang says so; both languages say everything."""
    require_same(CHECK_TEXTS[Language.EN], CHECK_TEXTS[Language.JA])
    english = dict(texts_of(CHECK_TEXTS[Language.EN]))
    assert all(text != english[key] for key, text in texts_of(CHECK_TEXTS[Language.JA]))

    async def run() -> None:
        async with world(tmp_path) as at:
            configured(at)
            at.project.members[at.fake.bot.id] = 20
            monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
            assert await call("check") == ExitCode.ENGINE
            assert await call("check", "--lang", "en") == ExitCode.ENGINE

    asyncio.run(run())
    said = capsys.readouterr().out
    assert "設定" in said
    assert "データベース" in said
    assert "-> Developer のロールを与えてください" in said
    assert "-> give it the role Developer" in said


def test_nothing_set_is_said_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an address there is nothing to check, and exit code 2 says so."""
    monkeypatch.setenv("BOT_WEBHOOK_SECRETS", json.dumps([SECRET]))
    assert main(["check"]) == ExitCode.USAGE
    assert "BOT_GITLAB_URL" in capsys.readouterr().err
    monkeypatch.delenv("BOT_WEBHOOK_SECRETS")
    assert main(["serve"]) == ExitCode.USAGE
    assert "BOT_WEBHOOK_SECRETS" in capsys.readouterr().err


def test_hooks_are_made_once(
    tmp_path: Path, configured: Callable[[World], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """For every project of a group; a second run leaves them, and a dry run makes none."""

    async def run() -> None:
        async with world(tmp_path) as at:
            configured(at)
            token = tmp_path / "token"
            maintainer = at.fake.add_person("maintainer")
            token.write_text(maintainer.token)
            other = at.fake.add_project("team/other")
            elsewhere = at.fake.add_project("elsewhere/app")
            for project in (at.project, other, elsewhere):
                project.members[maintainer.id] = 40
            arguments = ("register", URL, "--group", "team", "--token-file", str(token), "--json")
            assert await call(*arguments, "--dry-run") == ExitCode.OK
            assert not at.project.hooks
            assert await call(*arguments) == ExitCode.OK
            assert await call(*arguments) == ExitCode.OK
            (hook,) = at.project.hooks
            assert (hook.url, hook.token, len(other.hooks), len(elsewhere.hooks)) == (URL, SECRET, 1, 0)
            assert all(hook.events[name] for name in HOOK_EVENTS)
            hook.events["emoji_events"] = False
            assert await call(*arguments) == ExitCode.ENGINE

    asyncio.run(run())
    runs = [json.loads(f"[{part}]") for part in capsys.readouterr().out.strip("[]\n").split("]\n[")]
    outcomes = [{one["project"]: one["outcome"] for one in found} for found in runs]
    assert outcomes[:3] == [{"team/app": name, "team/other": name} for name in ("missing", "made", "there")]
    assert outcomes[3] == {"team/app": "wrong", "team/other": "there"}


def test_a_project_that_refuses_does_not_keep_the_others(
    tmp_path: Path, configured: Callable[[World], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The bot itself is no Maintainer; that is said for each project."""

    async def run() -> None:
        async with world(tmp_path) as at:
            configured(at)
            at.fake.add_project("team/other")
            assert await call("register", URL, "--group", "team") == ExitCode.ENGINE

    asyncio.run(run())
    assert capsys.readouterr().out.count("refused") == 2


@pytest.mark.parametrize("url", ["bot.example/webhook", "https://bot.example/", "ftp://bot.example/webhook"])
def test_an_address_that_cannot_be_right(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before anybody is asked."""
    assert main(["register", url, "--project", "1"]) == ExitCode.USAGE
    assert "webhook" in capsys.readouterr().err
    assert main(["register", URL]) == ExitCode.USAGE


def test_a_hook_that_fell_silent() -> None:
    """GitLab has switched it off, or it does not send what is needed."""
    events = dict.fromkeys(HOOK_EVENTS, True)
    assert hook_fault(Hook(1, URL, events)) == ""
    assert "disabled" in hook_fault(Hook(1, URL, events, alert_status="disabled"))
    assert "note_events" in hook_fault(Hook(1, URL, events | {"note_events": False}))


def test_a_projects_own_secret_goes_into_its_hook() -> None:
    """A signing key cannot be given to a hook by the API, so the next secret is taken, or none."""
    settings = BotSettings.model_validate(
        {
            "webhook_secrets": ["whsec_a2V5", "common-token"],
            "project_secrets": {7: ["own-token"], 8: ["whsec_a"]},
        }
    )
    assert secret_for(1, settings) == "common-token"
    assert secret_for(7, settings) == "own-token"
    with pytest.raises(ConfigError, match="BOT_WEBHOOK_SECRETS"):
        secret_for(8, settings)
