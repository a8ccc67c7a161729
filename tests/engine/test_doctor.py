"""The doctor names what is missing and what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import doctor
from engine.doctor import Check, Health, examine
from engine.settings import EngineSettings


def examined(folder: Path, **settings: object) -> dict[str, Check]:
    values = {"cache_dir": folder / "cache", **settings}
    return {check.name: check for check in examine(EngineSettings.model_validate(values), folder)}


def test_every_problem_has_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that something is wrong without being told what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / ".tenken.toml").write_text("colour = 1")
    checks = examined(tmp_path, adapter_dir=tmp_path / "nowhere", cache_dir=Path("/proc/cache"))
    problems = {name: check for name, check in checks.items() if check.health is Health.PROBLEM}
    assert {"adapter", "git", ".tenken.toml", "cache"} <= set(problems)
    assert all(check.advice for check in problems.values())


def test_configuration_is_checked(tmp_path: Path) -> None:
    """A good file is named, a bad one is explained, none is no problem."""
    assert examined(tmp_path)[".tenken.toml"].health is Health.ABSENT
    (tmp_path / ".tenken.toml").write_text('language = "ja"')
    assert examined(tmp_path)[".tenken.toml"].health is Health.OK
    (tmp_path / ".tenken.toml").write_text('langage = "ja"')
    assert "did you mean language?" in examined(tmp_path)[".tenken.toml"].detail


def test_missing_extra_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cpu extra is needed; others are only reported."""
    monkeypatch.setattr(doctor, "EXTRAS", {"cpu": ("no-such-package",), "train": ("nor-this",)})
    checks = examined(tmp_path)
    assert checks["extra cpu"].health is Health.PROBLEM
    assert checks["extra cpu"].advice == "pip install 'tenken[cpu]'"
    assert checks["extra train"].health is Health.ABSENT


def test_examining_leaves_nothing_behind(tmp_path: Path) -> None:
    """The doctor reads only: no cache directory is made."""
    examined(tmp_path)
    assert list(tmp_path.iterdir()) == []
