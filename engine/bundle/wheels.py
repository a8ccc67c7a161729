"""Wheels for the machine that is installed on: asked of pip, and listed with their hashes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError, InputError
from engine.models import sha256_of

_WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-\d[^-]*)?(-[^-]+){3}\.whl")
_GLIBC = re.compile(r"2\.(\d{1,2})")
_PYTHON = re.compile(r"3\.\d{1,2}")
_OLDEST_GLIBC = 5
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "bot", "engine", "lsp", "training")
_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True)
class Target:
    """The machine that is installed on: one like this where nothing is given."""

    python: str = ""  # such as 3.12
    machine: str = ""  # such as x86_64 or aarch64
    glibc: str = "2.28"  # the oldest; of Debian 10, RHEL 8, Ubuntu 18.10

    def options(self) -> tuple[str, ...]:
        """Return what pip has to be told; raises InputError for what is no version."""
        if not _PYTHON.fullmatch(self.python or "3.11"):
            raise InputError(f"--python {self.python}: such as 3.12 is needed")
        found = _GLIBC.fullmatch(self.glibc)
        if found is None:
            raise InputError(f"--glibc {self.glibc}: such as 2.28 is needed")
        words = ["--python-version", self.python] if self.python else []
        for platform in _platforms(self.machine, int(found[1])) if self.machine else ():
            words += ["--platform", platform]
        return tuple(words)


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that was fetched."""

    path: Path
    name: str
    version: str
    sha256: str


def fetch(source: Path, extras: Iterable[str], target: Target, folder: Path) -> tuple[Wheel, ...]:
    """Put wheels of the checkout `source`, of its extras and of pip into `folder`, and return them.

    Raises EngineError where pip gives up: its own words went to standard error.
    """
    with tempfile.TemporaryDirectory(prefix="tenken-source-") as scratch:
        # A build leaves files behind, and takes up those that an earlier one left.
        _copy(source, Path(scratch))
        _pip("wheel", "--no-deps", "--wheel-dir", str(folder), scratch)
    (own,) = folder.glob("tenken-*.whl")
    wanted = f"{own}{_in_brackets(extras)}"
    _pip(
        *("download", "--only-binary", ":all:", "--dest", str(folder), "--find-links", str(folder)),
        *("--constraint", str(source / "constraints.txt"), *target.options(), "pip", wanted),
    )
    return tuple(sorted(map(_read, folder.glob("*.whl")), key=lambda wheel: wheel.name.lower()))


def requirements(wheels: Iterable[Wheel], extras: Iterable[str]) -> str:
    """Return a requirements file that allows these wheels and no others."""
    lines = []
    for wheel in wheels:
        chosen = _in_brackets(extras) if wheel.name == "tenken" else ""
        lines.append(f"{wheel.name}{chosen}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    return "".join(lines)


def _in_brackets(extras: Iterable[str]) -> str:
    names = ",".join(extras)
    return f"[{names}]" if names else ""


def _copy(source: Path, target: Path) -> None:
    for name in _SOURCES:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source / name, target / name)


def _platforms(machine: str, glibc: int) -> Iterable[str]:
    """Give the names of all platforms whose wheels run on a Linux with this glibc, the best first."""
    for minor in range(glibc, _OLDEST_GLIBC - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _NAMES:
            yield f"{_NAMES[minor]}_{machine}"
    yield f"linux_{machine}"


def _read(path: Path) -> Wheel:
    found = _WHEEL.fullmatch(path.name)
    if found is None:
        raise EngineError(f"{path.name} is no name of a wheel")
    return Wheel(path, found["name"].replace("_", "-"), found["version"], sha256_of(path))


def _pip(*words: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--progress-bar", "off")
    command = [sys.executable, "-m", "pip", words[0], *quiet, *words[1:]]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise EngineError(f"pip {words[0]} failed; its own words are above")
