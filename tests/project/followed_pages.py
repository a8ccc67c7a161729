"""How the commands of a page are run: in bash, as they are shown, with this machine's addresses and ports.

`prepared_machine` makes the machine.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.fake_gitlab import FakeGitLab

SECONDS = 600
EXITS = {"tenken-train gate ": (0, 1), "tenken doctor --deploy ": (0, 3)}
"""How commands end that say something by it: the gate its decision, `--deploy` that this is no service."""

_BASE_DIR = " --base-dir tiny-gemma"
ADDED = {
    "tenken serve ": " --port {engine}",
    "tenken-bot serve ": " --port {bot}",
    "tenken-train retrain ": " --engine-ca-file cert.pem",
    "tenken-train collect ": " --settings history.toml",
    "tenken-train plan ": _BASE_DIR,
    "tenken-train sft ": _BASE_DIR + " --settings short.toml",
    "tenken-train prefer ": _BASE_DIR + " --settings preference.toml",
    "tenken-train evaluate ": _BASE_DIR + " --runner torch --device cpu --samples 20",
    "tenken-train benchmark --run ": _BASE_DIR + " --runner torch --device cpu",
    "tenken-train export ": _BASE_DIR,
}
"""What is put behind a command here: ports that are free, and a model that a test can train."""


@dataclass
class Machine:
    """Where the pages are followed."""

    folder: Path
    fake: FakeGitLab
    ports: Mapping[str, int]
    instead: Mapping[str, str]
    environment: dict[str, str]
    ran: set[str] = field(default_factory=set)  # on earlier pages: shown twice is run once

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def here(self, line: str) -> str:
        """Return what a page says, as it is on this machine."""
        command = without_comment(line)
        for example, ours in self.instead.items():
            command = command.replace(example, ours)
        added = (words for start, words in ADDED.items() if command.startswith(start))
        return command + "".join(added).format_map(self.ports)

    def run(self, line: str, environment: dict[str, str]) -> str:
        """Run a line and return what it printed; what it exports is in `environment` from then on."""
        exported = self.folder / "exported"
        script = f"set -euo pipefail\n{self.here(line)}\nenv -0 > {exported}\n"
        expected = next((codes for start, codes in EXITS.items() if line.startswith(start)), (0,))
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.work, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode in expected, f"{self.here(line)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        if done.returncode == 0:
            environment |= dict(each.split("=", 1) for each in exported.read_text().split("\0") if each)
        return done.stdout

    @contextmanager
    def serving(self, line: str, environment: dict[str, str]) -> Iterator[None]:
        """Run a line that serves until the end of the block, from when it listens."""
        with listening(["bash", "-c", f"exec {self.here(line)}"], self.folder, environment) as process:
            yield
        assert process.returncode == 0, (self.folder / "served.log").read_text()[-3000:]


@contextmanager
def listening(
    command: list[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the end of the block, from when it says that it listens."""
    log = folder / "served.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command, cwd=folder / "work", env=environment, stdout=subprocess.PIPE, stderr=stream, text=True
        )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "listening" in said, log.read_text()[-3000:]
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)


def without_comment(line: str) -> str:
    return line.partition("  #")[0].rstrip()
