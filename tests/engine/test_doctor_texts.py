"""`tenken doctor`, `tenken bundle` and a bundle's installer speak the language of whoever runs them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from both_languages import require_same, texts_of

from engine.__main__ import main
from engine.bundle import texts as bundle_texts
from engine.cli.command import language_of_locale
from engine.deployment import examine_deployment
from engine.doctor import Health, examine
from engine.doctor_texts import DOCTOR_TEXTS, ENGLISH, JAPANESE, name_in
from engine.settings import EngineSettings
from engine.wire import Language

INSTALLER = Path(bundle_texts.__file__).with_name("install.sh")
WORDS = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


@pytest.mark.parametrize("texts", [DOCTOR_TEXTS, bundle_texts.BUNDLE_TEXTS], ids=["doctor", "bundle"])
def test_both_languages_say_everything(texts: dict[Language, object]) -> None:
    """With the same values in it; what is the same in both has no words, or is a name."""
    assert set(texts) == set(Language)
    require_same(texts[Language.EN], texts[Language.JA])
    english = dict(texts_of(texts[Language.EN]))
    same = {key for key, text in texts_of(texts[Language.JA]) if text == english[key]}
    assert same <= {"names.tenken", "names.python", "names.git"}


def test_every_check_has_a_name_in_japanese(tmp_path: Path) -> None:
    """An extra and a server by what they are, with their own name or number behind it."""
    settings = EngineSettings(data_dir=tmp_path, cache_dir=tmp_path)
    checks = examine(settings, tmp_path) + examine_deployment(settings, None, {})
    for name in {check.name for check in checks} - {".tenken.toml"}:
        first = name.partition(" ")[0]
        assert name in JAPANESE.names or first == "extra", name
    assert name_in(JAPANESE, "extra cpu") == "追加機能 cpu"
    assert name_in(JAPANESE, "server 2") == "サーバー 2"
    assert name_in(JAPANESE, ".tenken.toml") == ".tenken.toml"
    assert name_in(ENGLISH, "root file system") == "root file system"


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, Language.EN),
        ({"LANG": "ja_JP.UTF-8"}, Language.JA),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C.UTF-8"}, Language.EN),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ja_JP.UTF-8"}, Language.JA),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": ""}, Language.JA),
    ],
    ids=["none", "lang", "all", "messages", "empty"],
)
def test_the_locale_decides(environ: dict[str, str], language: Language) -> None:
    """In the order in which the C library looks; the installer does the same."""
    assert language_of_locale(environ) is language
    done = subprocess.run(
        ["sh", str(INSTALLER), "--help"], env=environ, capture_output=True, text=True, check=True
    )
    assert "--prefix /opt/tenken" in done.stdout
    assert bool(WORDS.search(done.stdout)) is (language is Language.JA)


def test_the_doctor_speaks_japanese(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the locale or by --lang, in columns; what programs read keeps its names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ENGINE_THREDS", "1")
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    assert main(["doctor", "--deploy"]) == 3
    said = capsys.readouterr().out
    assert "不明な変数: ENGINE_THREDS" in said
    assert "ENGINE_THREDS: ENGINE_THREADS のことですか?" in said
    assert main(["doctor", "--deploy", "--json"]) == 3
    checks = json.loads(capsys.readouterr().out)
    english = set(ENGLISH.names) | {check["name"] for check in checks if check["name"].startswith("extra ")}
    assert {check["name"] for check in checks} <= english
    problems = [check for check in checks if check["health"] == Health.PROBLEM]
    assert all(WORDS.search(check["advice"]) for check in problems)
    assert main(["doctor", "--deploy", "--lang", "en"]) == 3
    assert not WORDS.search(capsys.readouterr().out)
