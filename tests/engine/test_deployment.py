"""`tenken doctor --deploy` names what a service's surroundings lack, and what to do about it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine import deployment
from engine.__main__ import main
from engine.deployment import (
    account,
    examine_deployment,
    filesystem_of,
    keeps,
    memory,
    proxy,
    readable_by_others,
    unknown_variables,
    writable,
)
from engine.doctor import Check, Health
from engine.settings import EngineSettings
from engine.store.opening import open_store
from engine.tokens import Role, TokenFile

FIELDS = ("threads", "data_dir")


def examined(folder: Path, tokens: Path | None = None, **environ: str) -> dict[str, Check]:
    settings = EngineSettings(data_dir=folder / "data", cache_dir=folder / "cache")
    return {check.name: check for check in examine_deployment(settings, tokens, environ)}


def test_every_problem_has_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a place where nothing is as it should be."""
    tokens, settings = tmp_path / "tokens.json", tmp_path / "engine.env"
    tokens.write_text("{}")
    settings.write_text("ENGINE_THREDS=2\n")
    settings.chmod(0o644)
    monkeypatch.setattr(deployment, "_LEAST_FREE", 2**80)
    monkeypatch.setattr(deployment, "_NATIVE", dict.fromkeys(deployment._NATIVE, "no_such_library"))
    checks = examined(tmp_path, tokens, ENGINE_ENV_FILE=str(settings))
    problems = {name for name, check in checks.items() if check.health is Health.PROBLEM}
    assert {"settings", "secrets", "tokens", "data", "library"} <= problems
    assert all(check.advice for check in checks.values() if check.health is Health.PROBLEM)
    assert not (tmp_path / "data").exists()


def test_root_is_no_account_for_a_service() -> None:
    """A service has one of its own."""
    assert account(0).health is Health.PROBLEM
    assert account(10001) == Check("account", Health.OK, "uid 10001")


def test_misspelt_settings_are_found(tmp_path: Path) -> None:
    """In the environment and in the file; both would be ignored without a word."""
    file = tmp_path / "engine.env"
    file.write_text("# ENGINE_THREADS=2\nENGINE_DATA_DIRR=/data\nOTHER=1\n")
    environ = {"ENGINE_THREADS": "2", "engine_threds": "3", "ENGINE_ENV_FILE": str(file)}
    check = unknown_variables("ENGINE_", FIELDS, environ)
    assert check.health is Health.PROBLEM
    assert check.detail == "unknown: ENGINE_DATA_DIRR, engine_threds"
    assert "ENGINE_DATA_DIRR: did you mean ENGINE_DATA_DIR?" in check.advice
    assert "engine_threds: did you mean ENGINE_THREADS?" in check.advice
    assert unknown_variables("ENGINE_", FIELDS, {"ENGINE_THREADS": "2"}).health is Health.OK
    assert "remove them" in unknown_variables("ENGINE_", FIELDS, {"ENGINE_XYZXYZ": ""}).advice


def test_secrets_that_all_can_read_are_named(tmp_path: Path) -> None:
    """The group's right to read is how containers are given theirs."""
    open_, shut = tmp_path / "open", tmp_path / "shut"
    for path, mode in ((open_, 0o604), (shut, 0o440)):
        path.write_text("secret")
        path.chmod(mode)
    check = readable_by_others("secrets", [open_, shut, tmp_path / "missing"])
    assert (check.health, str(open_) in check.detail, str(shut) in check.detail) == (
        Health.PROBLEM,
        True,
        False,
    )
    assert readable_by_others("secrets", [shut]).health is Health.OK


def test_tokens_are_counted(tmp_path: Path) -> None:
    """None is a problem, and so is a file that cannot be read; not to look is none."""
    file = tmp_path / "tokens.json"
    assert examined(tmp_path)["tokens"].health is Health.ABSENT
    assert examined(tmp_path, file)["tokens"].health is Health.PROBLEM
    TokenFile(file).create(Role.REVIEWER)
    assert examined(tmp_path, file)["tokens"].detail == f"{file}: 1"


def test_data_that_vanishes_with_the_container_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on tmpfs and in the container's own layer."""
    monkeypatch.setattr(deployment, "filesystem_of", lambda directory: "overlay")
    assert "gone with the container" in keeps("data", tmp_path, "ENGINE_DATA_DIR").detail
    monkeypatch.setattr(deployment, "filesystem_of", lambda directory: "ext4")
    assert keeps("data", tmp_path, "ENGINE_DATA_DIR").health is Health.OK


def test_the_innermost_mount_counts(tmp_path: Path) -> None:
    """Spaces in its path are written as \\040; where there is no such list, nothing is said."""
    inner = tmp_path / "with space"
    inner.mkdir()
    mounts = tmp_path / "mountinfo"
    point = str(inner).replace(" ", "\\040")
    mounts.write_text(
        "21 1 0:20 / / rw shared:1 - overlay overlay rw\n"
        f"22 21 0:21 / {point} rw,relatime - xfs /dev/sda rw\n"
        f"23 21 0:22 / {point}er rw - tmpfs tmpfs rw\n"
    )
    assert filesystem_of(inner / "not yet there", mounts) == "xfs"
    assert filesystem_of(tmp_path, mounts) == "overlay"
    assert filesystem_of(tmp_path, tmp_path / "none") == ""


def test_a_directory_of_others_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one above it counts where it is not there yet."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    check = writable("cache", tmp_path / "a" / "b", "ENGINE_CACHE_DIR")
    assert (check.health, "ENGINE_CACHE_DIR" in check.advice) == (Health.PROBLEM, True)


def test_the_least_memory_of_all_groups_counts(tmp_path: Path) -> None:
    """Of both versions of control groups; "max" is no limit."""
    group = tmp_path / "sys/fs/cgroup/outer/inner"
    group.mkdir(parents=True)
    process = tmp_path / "proc/self"
    process.mkdir(parents=True)
    (process / "cgroup").write_text("0::/outer/inner\n")
    (group / "memory.max").write_text("max\n")
    assert memory(tmp_path).health is Health.OK
    (group.parent / "memory.max").write_text(f"{2**30}\n")
    assert (memory(tmp_path).health, memory(tmp_path).detail) == (Health.PROBLEM, "1.0 GiB at most")
    (process / "cgroup").write_text("4:memory:/x\n")
    old = tmp_path / "sys/fs/cgroup/memory/x"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text(str(8 * 2**30))
    assert memory(tmp_path).detail == "8.0 GiB at most"


def test_the_database_is_looked_at_and_left_alone(tmp_path: Path) -> None:
    """None yet, one of today, one that the next start will change."""
    assert "made by the first start" in examined(tmp_path)["database"].detail
    settings = EngineSettings(data_dir=tmp_path / "data")
    with open_store(settings):
        pass
    assert examined(tmp_path)["database"].health is Health.OK
    import sqlite3

    with sqlite3.connect(tmp_path / "data" / "tenken.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    check = examined(tmp_path)["database"]
    assert (check.health, "back it up first" in check.detail) == (Health.ABSENT, True)
    assert "revision 0001" in examined(tmp_path)["database"].detail


def test_proxies_are_told(tmp_path: Path) -> None:
    """In either case; that there is one is no problem."""
    assert proxy({}).health is Health.OK
    assert proxy({"HTTPS_PROXY": "http://proxy:8080"}).detail == "https_proxy"


def test_a_root_that_can_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images and units have it read-only."""
    for flag, health in ((os.ST_RDONLY, Health.OK), (0, Health.ABSENT)):
        monkeypatch.setattr(os, "statvfs", lambda path, flag=flag: SimpleNamespace(f_flag=flag))
        assert deployment.read_only_root().health is health


def test_the_command_prints_both_kinds_of_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Installed parts and surroundings; what a service has no use for is left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ENGINE_NO_SUCH", "1")
    assert main(["doctor", "--deploy", "--json"]) == 3
    names = [check["name"] for check in json.loads(capsys.readouterr().out)]
    assert {"tenken", "adapter", "settings", "database", "memory"} <= set(names)
    assert not {"git", ".tenken.toml"} & set(names)
    assert names.count("cache") == 1
