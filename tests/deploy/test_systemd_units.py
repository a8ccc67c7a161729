"""The units are what systemd understands, start what is installed, and give no more than is needed."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from bot.__main__ import _parser as bot_parser
from engine.__main__ import build_parser

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
_HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "CapabilityBoundingSet": "",
    "IPAddressDeny": "any",
    "RestrictSUIDSGID": "yes",
    "RestrictNamespaces": "yes",
    "UMask": "0077",
    "User": "tenken",
}


def read(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(path, "utf-8")
    return parser


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """systemd-analyze has nothing to say; the programs are put where it looks for them."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path in UNITS.rglob("*.*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(UNITS)
            copy.parent.mkdir(exist_ok=True)
            text = re.sub(r"(?<=ExecStart=)/opt/tenken/bin/\S+", str(program), path.read_text("utf-8"))
            copy.write_text(text)
    units = [str(path) for path in sorted(tmp_path.glob("*.service")) + sorted(tmp_path.glob("*.timer"))]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_services_are_hardened(path: Path) -> None:
    """Each has an account of its own, a read-only system, no capability, and reaches nobody unless told."""
    service = dict(read(path)["Service"])
    assert {key: service.get(key) for key in _HARDENED} == _HARDENED


def test_the_commands_are_those_of_the_programs() -> None:
    """What the units start is accepted by the programs' own parsers."""
    for path in (*SERVICES, *UNITS.glob("*.d/*.conf")):
        words = shlex.split(read(path)["Service"].get("ExecStart", ""))
        if words and words[0].endswith("/tenken"):
            assert build_parser().parse_args(words[1:]).run
        elif words and words[0].endswith("/tenken-bot"):
            assert bot_parser().parse_args(words[1:]).run
        elif words:
            assert words[0].endswith("/python")
            assert words[1].endswith("/deploy/backup.py")


def test_no_secret_is_in_a_unit() -> None:
    """They come as credentials, from files that root alone can read."""
    for path in UNITS.rglob("*.*"):
        if path.is_file():
            text = path.read_text("utf-8")
            assert "TOKEN=" not in text
            assert "EnvironmentFile" not in text
