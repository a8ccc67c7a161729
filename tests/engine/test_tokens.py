"""Tokens in their file: made, found, removed; never readable from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.tokens import Role, TokenFile


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


def test_a_token_is_found_and_nothing_like_it(file: TokenFile) -> None:
    """The whole token counts, not its id."""
    token = file.create(Role.TRAINER, ("a", "b"))
    record = file.find(token)
    assert record is not None
    assert (record.role, record.projects, record.covers("a"), record.covers("c")) == (
        Role.TRAINER,
        ("a", "b"),
        True,
        False,
    )
    prefix, name, secret = token.split("_", 2)
    for other in ("", token[:-1], token + "x", f"x_{name}_{secret}", f"{prefix}_{name}_", "\ud800", "é"):
        assert file.find(other) is None


def test_the_secret_is_in_no_file_and_no_text(file: TokenFile, tmp_path: Path) -> None:
    """Only its hash is kept, in a file for its owner alone, and not shown even then."""
    token = file.create(Role.ADMIN)
    text = (tmp_path / "tokens.json").read_text()
    assert token.split("_", 2)[2] not in text
    assert file.records[0].sha256 in text
    assert file.records[0].sha256 not in repr(file.records)
    assert (tmp_path / "tokens.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.json"]


def test_others_see_changes_at_once(file: TokenFile, tmp_path: Path) -> None:
    """A server that reads the file follows what the command line writes."""
    server = TokenFile(tmp_path / "tokens.json")
    first, second = file.create(Role.REVIEWER), file.create(Role.REVIEWER)
    assert server.find(first)
    file.remove(first.split("_")[1])
    assert server.find(first) is None
    assert server.find(second)
    with pytest.raises(ConfigError, match="no token"):
        file.remove("0" * 12)


def test_roles_include_those_before() -> None:
    """Reviewer, trainer, admin."""
    table = [[role.includes(other) for other in Role] for role in Role]
    assert table == [[True, False, False], [True, True, False], [True, True, True]]


BAD_FILES = {
    "no JSON": ("x", "the whole file"),
    "unknown role": (
        '{"tokens":[{"id":"0123456789ab","role":"king","sha256":"' + "0" * 64 + '","created":"2026-01-01"}]}',
        "tokens.0.role",
    ),
    "newer": ('{"format":2}', "format"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_by_name(file: TokenFile, tmp_path: Path, case: str) -> None:
    """The error says where, and nobody gets in."""
    text, where = BAD_FILES[case]
    (tmp_path / "tokens.json").write_text(text)
    with pytest.raises(ConfigError, match=where):
        file.find("tenken_0123456789ab_x")


def test_a_missing_file_is_an_error(file: TokenFile) -> None:
    """Not an engine that is open to all."""
    with pytest.raises(ConfigError, match="cannot read"):
        file.find("x")
