"""Settings come from the editor, the environment, the engine's settings; what is wrong is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic.alias_generators import to_camel

from engine.errors import ConfigError
from engine.findings import Severity
from engine.settings import EngineSettings
from lsp.settings import LspSettings, Scope, load_settings, settings_of, variable

ROOT = Path(__file__).parents[2]
KEYS = [to_camel(name) for name in LspSettings.model_fields]


def test_the_editor_goes_before_the_environment() -> None:
    """Each source fills what those before it leave open; null and empty are left open."""
    engine = EngineSettings(url="http://engine:1", token=SecretStr("of-engine"), proxy="http://p:1")
    environ = {"LSP_ENGINE_URL": "http://environment:1", "LSP_SCOPE": "head", "LSP_ON_SAVE": "false"}
    given = {"scope": "staged", "engineToken": "", "severity": None, "maxFiles": 3}
    loaded = load_settings(given, environ, engine)
    settings = loaded.settings
    assert loaded.problems == ()
    assert (settings.engine_url, settings.token(), settings.proxy) == (
        "http://environment:1",
        "of-engine",
        "http://p:1",
    )
    assert (settings.scope, settings.on_save, settings.severity, settings.max_files) == (
        Scope.STAGED,
        False,
        None,
        3,
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"maxFile": 3}, "maxFile: unknown setting; did you mean maxFiles?"),
        ({"nonsense": 3}, "nonsense: unknown setting"),
        ({"maxFiles": 0}, "maxFiles: Input should be greater than or equal to 1"),
        ({"scope": "all"}, "scope: Input should be 'mergeBase', 'head' or 'staged'"),
        ({"exclude": "x"}, "exclude: Input should be a valid tuple"),
        ([], "tenken: an object is needed"),
    ],
)
def test_what_is_wrong_is_named(given: object, problem: str) -> None:
    """One bad key is said and costs none of the others."""
    more = given | {"severity": "major"} if isinstance(given, dict) else given
    loaded = load_settings(more, {"LSP_PROJECT": "group/app"})
    assert loaded.problems == (problem,)
    assert loaded.settings.project == "group/app"
    assert loaded.settings.severity == (Severity.MAJOR if isinstance(given, dict) else None)


def test_bad_values_are_not_repeated() -> None:
    """A secret that was put under the wrong key appears in no message."""
    loaded = load_settings({"engineToken": ["secret"], "debounceMs": "secret"}, {})
    assert [problem.partition(":")[0] for problem in loaded.problems] == ["engineToken", "debounceMs"]
    assert "secret" not in "".join(loaded.problems)
    assert "secret" not in repr(load_settings({"engineToken": "secret"}, {}))


def test_lists_from_the_environment() -> None:
    """A list is JSON or has commas."""
    for text in ('["a", "b/*"]', "a, b/*"):
        assert load_settings({}, {"LSP_EXCLUDE": text}).settings.exclude == ("a", "b/*")


def test_initialization_options() -> None:
    """They hold the settings themselves or under the section's name; the client's part is none."""
    assert settings_of({"scope": "head", "client": {"status": True}}) == {"scope": "head"}
    assert settings_of({"tenken": {"scope": "head"}, "client": {}}) == {"scope": "head"}
    assert settings_of(None) == {}


def test_token_file(tmp_path: Path) -> None:
    """The token is read from a file that is named; one without a token is an error under the key."""
    file = tmp_path / "token"
    file.write_text("abc\n")
    assert LspSettings(engine_token_file=file).token() == "abc"
    with pytest.raises(ConfigError, match="engineTokenFile"):
        LspSettings(engine_token_file=tmp_path / "none").token()


def test_places(tmp_path: Path) -> None:
    """Files are where the XDG variables say, or the settings, whose ~ is the home directory."""
    environ = {"XDG_CACHE_HOME": "/c", "XDG_DATA_HOME": "/d"}
    assert LspSettings().caches(environ) == Path("/c/tenken/lsp")
    assert LspSettings().data(environ) == Path("/d/tenken/lsp")
    settings = load_settings({"cacheDir": "~/x", "dataDir": str(tmp_path)}, {}).settings
    assert (settings.caches(), settings.data()) == (Path.home() / "x", tmp_path)


@pytest.mark.parametrize("key", KEYS)
def test_every_setting_is_documented(key: str) -> None:
    """PROTOCOL.md and the page of all settings know each key."""
    protocol = (ROOT / "lsp" / "PROTOCOL.md").read_text("utf-8")
    page = (ROOT / "deploy" / "docs" / "settings.md").read_text("utf-8")
    assert f"| `{key}` |" in protocol
    assert f"| `{key}` |" in page


def test_documented_defaults_hold() -> None:
    """What PROTOCOL.md gives as a default is one."""
    protocol = (ROOT / "lsp" / "PROTOCOL.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| `([^`]+)` \|", protocol, re.MULTILINE))
    defaults = LspSettings().model_dump(mode="json", by_alias=True)
    for key in ("enabled", "untracked", "onSave", "onCommit", "debounceMs", "maxFiles", "pull", "scope"):
        assert str(defaults[key]).lower() == rows[key].strip('"').lower()
    assert variable("maxDiffKib") == "LSP_MAX_DIFF_KIB"
    assert {"timeoutSeconds": "300", "maxDiffKib": "1024"}.items() <= rows.items()
