"""Machine settings come from the environment alone, unless it names a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.settings import EngineSettings, load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in EngineSettings.model_fields:
        monkeypatch.delenv(f"ENGINE_{name.upper()}", raising=False)
    monkeypatch.delenv("ENGINE_ENV_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable sets its field; an empty one does not."""
    monkeypatch.setenv("ENGINE_THREADS", "3")
    monkeypatch.setenv("ENGINE_CONTEXT", "")
    settings = load_settings()
    assert (settings.threads, settings.context, settings.model_path) == (3, 4096, None)


@pytest.mark.parametrize(("name", "value"), [("ENGINE_THREADS", "none"), ("ENGINE_CONTEXT", "1")])
def test_bad_value_names_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The error says which variable to mend."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        load_settings()


def test_code_under_review_cannot_choose_the_model(tmp_path: Path) -> None:
    """A .env in the working directory is not read."""
    (tmp_path / ".env").write_text("ENGINE_MODEL_PATH=/evil.gguf\n")
    assert load_settings().model_path is None


def test_named_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ENGINE_ENV_FILE names the file; other programs' keys in it are no error."""
    (tmp_path / "tenken.env").write_text("ENGINE_THREADS=5\nBOT_TOKEN=x\n")
    monkeypatch.setenv("ENGINE_ENV_FILE", str(tmp_path / "tenken.env"))
    assert load_settings().threads == 5


def test_missing_named_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was asked for and is not there is not passed over."""
    monkeypatch.setenv("ENGINE_ENV_FILE", "/nowhere/tenken.env")
    with pytest.raises(ConfigError, match="ENGINE_ENV_FILE"):
        load_settings()
