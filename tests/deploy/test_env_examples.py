"""deploy/*.env.example are what the settings classes say; `make golden` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from env_examples import bot_example, engine_example

from bot.settings import BotSettings
from bot.settings import load_settings as load_bot_settings
from engine.settings import EngineSettings
from engine.settings import load_settings as load_engine_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
ENGINE, BOT = DEPLOY / "engine.env.example", DEPLOY / "bot.env.example"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith(("ENGINE_", "BOT_")):
            monkeypatch.delenv(name)


def test_the_examples_have_every_setting(golden: Callable[[Path, str], None]) -> None:
    """With its description and default, in the order of the class."""
    golden(ENGINE, engine_example())
    golden(BOT, bot_example())


@pytest.mark.parametrize("uncommented", [False, True])
def test_the_examples_load_as_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uncommented: bool
) -> None:
    """As they are, and with every # before a variable taken away: so what they show is right."""
    for example, prefix in ((ENGINE, "ENGINE_"), (BOT, "BOT_")):
        text = example.read_text("utf-8")
        file = tmp_path / example.stem
        file.write_text(re.sub(rf"^#{prefix}", prefix, text, flags=re.M) if uncommented else text)
        monkeypatch.setenv(f"{prefix}ENV_FILE", str(file))
    assert load_engine_settings() == EngineSettings()
    assert load_bot_settings() == BotSettings()


def test_a_filled_in_example_is_what_the_process_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values of the file count, and the environment goes before them."""
    text = BOT.read_text("utf-8")
    text = text.replace("BOT_GITLAB_URL=", "BOT_GITLAB_URL=https://gitlab.example.com")
    text = text.replace("BOT_WEBHOOK_SECRETS=", 'BOT_WEBHOOK_SECRETS=["a secret of 16 letters"]')
    (tmp_path / "bot.env").write_text(text)
    monkeypatch.setenv("BOT_ENV_FILE", str(tmp_path / "bot.env"))
    monkeypatch.setenv("BOT_ENGINE_URL", "http://engine:8750")
    settings = load_bot_settings()
    assert settings.gitlab_url == "https://gitlab.example.com"
    assert [secret.get_secret_value() for secret in settings.webhook_secrets] == ["a secret of 16 letters"]
    assert settings.engine_url == "http://engine:8750"
