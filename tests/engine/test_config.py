"""`.tenken.toml`: what it may say, and how it says what is wrong."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from effort import computing_seconds
from git_repository import Repository
from hypothesis import given
from hypothesis import strategies as st

from engine.config import CONFIG_NAME, ProjectConfig, load_config, load_config_at, parse_config
from engine.errors import ConfigError, InputError
from engine.findings import Severity
from engine.wire import Language


def write(root: Path, text: str) -> Path:
    (root / CONFIG_NAME).write_text(text, "utf-8")
    return root


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    """A repository without configuration is reviewed with the defaults."""
    assert load_config(tmp_path) == ProjectConfig()


def test_every_key_is_read(tmp_path: Path) -> None:
    """Each key ends up in its field."""
    text = """
    language = "ja"
    paths = ["src/"]
    exclude = ["*.gen.py"]
    guidelines = "Prefer early returns."
    severity = "minor"
    max_findings = 7
    fail_on = "critical"
    """
    config = load_config(write(tmp_path, text))
    assert config == ProjectConfig(
        language=Language.JA,
        paths=("src/",),
        exclude=("*.gen.py",),
        guidelines="Prefer early returns.",
        severity=Severity.MINOR,
        max_findings=7,
        fail_on=Severity.CRITICAL,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('\nseverty = "minor"', r"\.tenken\.toml:2: severty: unknown key; did you mean severity\?"),
        ("[server]\nport = 1", r"\.tenken\.toml:1: server: unknown key; "),
        ('severity = "blocker"', r"\.tenken\.toml:1: severity: .*'info', 'minor', 'major' or 'critical'"),
        ("max_findings = 0", r"\.tenken\.toml:1: max_findings: .*greater than or equal to 1"),
        ("paths = [1]", r"\.tenken\.toml:1: paths: "),
        ("a = 1 =", r"\.tenken\.toml: .*line 1"),
        ("\ufffe = [[" + "[" * 60_000, r"\.tenken\.toml"),
        ("x = " + "[" * 50_000, r"\.tenken\.toml: nested too deeply"),
        ("#" * 70_000, r"\.tenken\.toml: 70000 bytes"),
    ],
)
def test_mistakes_name_file_line_and_key(text: str, message: str) -> None:
    """Whoever wrote the file reads where the mistake is and what would be right."""
    with pytest.raises(ConfigError, match=message):
        parse_config(text.encode())


def test_all_mistakes_are_named_at_once() -> None:
    """Two mistakes are two remarks, so nobody fixes them one run at a time."""
    with pytest.raises(ConfigError, match=r"pathz.*language|language.*pathz"):
        parse_config(b'pathz = []\nlanguage = "fr"')


@given(data=st.binary(max_size=200) | st.text(alphabet='[]{}=".\n abl', max_size=200).map(str.encode))
def test_reader_accepts_or_explains(data: bytes) -> None:
    """Whatever the file holds, the answer is a configuration or a ConfigError, and soon."""

    def read() -> None:
        with contextlib.suppress(ConfigError):
            parse_config(data)

    assert computing_seconds(read) < 1


def test_guidelines_file_is_read(tmp_path: Path) -> None:
    """A file in the repository can hold the guidelines."""
    (tmp_path / "RULES.md").write_text("No prints.")
    assert load_config(write(tmp_path, 'guidelines_file = "RULES.md"')).guidelines == "No prints."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('guidelines_file = "../outside.md"', "outside the repository"),
        ('guidelines_file = "/etc/hostname"', "outside the repository"),
        ('guidelines_file = "missing.md"', "missing.md: No such file"),
        ('guidelines_file = "long.md"', "8001 characters"),
        ('guidelines_file = "latin.md"', "not UTF-8"),
        ('guidelines_file = "long.md"\nguidelines = "x"', "either this or guidelines"),
    ],
)
def test_unusable_guidelines_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """A file outside the repository is never read; a missing, long or unreadable one is named."""
    (tmp_path / "outside.md").write_text("secret")
    root = tmp_path / "repository"
    root.mkdir()
    (root / "long.md").write_text("x" * 8001)
    (root / "latin.md").write_bytes(b"caf\xe9")
    with pytest.raises(ConfigError, match=message):
        load_config(write(root, text))


def test_link_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    """A symbolic link does not lead the reader outside."""
    (tmp_path / "outside.md").write_text("secret")
    root = tmp_path / "repository"
    root.mkdir()
    (root / "rules.md").symlink_to(tmp_path / "outside.md")
    with pytest.raises(ConfigError, match="outside the repository"):
        load_config(write(root, 'guidelines_file = "rules.md"'))


def test_a_revisions_own_configuration(tmp_path: Path) -> None:
    """Whatever the work tree says, with the guidelines of that revision, too."""
    repository = Repository(tmp_path)
    repository.git("init", "-q", "-b", "main")
    assert load_config_at(tmp_path, repository.commit()) == ProjectConfig()
    (tmp_path / "RULES.md").write_text("Be kind.\r\n")
    write(tmp_path, 'severity = "minor"\nguidelines_file = "RULES.md"\n')
    first = repository.commit()
    (tmp_path / "RULES.md").unlink()
    write(tmp_path, 'severity = "critical"\nguidelines_file = "RULES.md"\n')
    found = load_config_at(tmp_path, first)
    assert (found.severity, found.guidelines) == (Severity.MINOR, "Be kind.\n")
    second = repository.commit()
    with pytest.raises(ConfigError, match=r"guidelines_file: RULES\.md"):
        load_config_at(tmp_path, second)
    with pytest.raises(InputError):
        load_config_at(tmp_path, "no-such-branch")
    with pytest.raises(InputError):
        load_config_at(tmp_path, "--upload-pack=touch")
    write(tmp_path, 'guidelines_file = "../outside.md"\n')
    with pytest.raises(ConfigError, match=r"guidelines_file: \.\./outside"):
        load_config_at(tmp_path, repository.commit())
