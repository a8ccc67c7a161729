"""The Dockerfile as stages and steps, and a way to run its steps without a container engine.

As a script: dockerfiles.py TARGET FOLDER installs what an image of that target has into a new folder, by the
Dockerfile's own commands and with an empty environment in the place of its base image, runs the image's
program and says how large what was installed is. It wants a package index.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "deploy" / "images"
DOCKERFILE = IMAGES / "Dockerfile"
_BASE = "${PYTHON_IMAGE}"


@dataclass(slots=True)
class Stage:
    """One FROM and what follows it."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [value for word, value in self.steps if word == keyword]


def stages() -> dict[str, Stage]:
    """Return the stages of the Dockerfile; continued lines are joined."""
    joined = re.sub(r"\\\n\s*(#.*\n\s*)*", " ", DOCKERFILE.read_text("utf-8"))
    found: dict[str, Stage] = {}
    for line in joined.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, _, value = line.partition(" ")
        if word == "FROM":
            base, _, name = value.partition(" AS ")
            found[name] = Stage(name, base)
        elif found:
            list(found.values())[-1].steps.append((word, value.strip()))
    return found


def chain(name: str) -> list[Stage]:
    """Return a stage and those it is made of, the oldest first."""
    every = stages()
    found = [every[name]]
    while found[0].base in every:
        found.insert(0, every[found[0].base])
    return found


@dataclass(frozen=True, slots=True)
class Machine:
    """A folder in the place of a container's root, with a Python that has nothing installed."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> Machine:
        venv.create(root / "usr", with_pip=True)
        return cls(root)

    def build(self, name: str) -> None:
        """Run the steps of a stage and of those before it."""
        variables: dict[str, str] = {}
        for stage in chain(name):
            for word, value in stage.steps:
                if word == "COPY":
                    self._copy(value)
                elif word == "RUN":
                    self.run(re.sub(r"^(--mount=\S+\s+)+", "", value), variables)
                elif word == "ARG" and "=" in value:
                    variables |= [tuple(value.split("=", 1))]  # type: ignore[list-item]

    def run(self, command: str, variables: dict[str, str] | None = None) -> str:
        """Return what a command of the image prints; /opt, /src and /wheels are here."""
        local = re.sub(r"(?<![\w.])/(?=(opt|src|wheels)\b)", f"{self.root}/", command)
        environment = {
            "PATH": f"{self.root}/opt/tenken/bin:{self.root}/usr/bin:/usr/bin:/bin",
            "HOME": str(self.root),
        }
        environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        done = subprocess.run(
            ["sh", "-euc", local], cwd=self.root / "src", env=environment | (variables or {}),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout[-1000:]}{done.stderr[-3000:]}")
        return done.stdout

    def _copy(self, value: str) -> None:
        *sources, target = value.split()
        if sources[0].startswith("--from"):
            return
        folder = self.root / "src"
        folder.mkdir(exist_ok=True)
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, folder)


def installed_by(target: str) -> str:
    """Return the stage that installs what an image of this target has."""
    (value,) = (value for value in stages()[target].all("COPY") if value.startswith("--from"))
    return value.split()[0].removeprefix("--from=")


def main(target: str, folder: str) -> None:
    """Install, run and measure."""
    machine = Machine.make(Path(folder))
    machine.build(installed_by(target))
    (entry,) = (json.loads(value)[0] for stage in chain(target) for value in stage.all("ENTRYPOINT"))
    print(machine.run(f"{entry} --version").strip())
    place = machine.root / "opt" / "tenken"
    size = sum(path.lstat().st_size for path in place.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"{target}: {size / 2**20:,.0f} MiB in /opt/tenken, beside the base image")


if __name__ == "__main__":
    main(*sys.argv[1:])
