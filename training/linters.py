"""Whether a suggestion keeps to the project's style: its own linter before and after, by setting.

A linter runs without a shell, in a process group of its own that ends with its time, and never sees more of
the environment than it needs. What it is given is a file's text; the model's words are never a command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.errors import InputError
from engine.replies import indent_suggestion
from training.bootstrap import Estimate, estimate, item_weights
from training.metrics import mean
from training.records import ReviewItem
from training.scoring import Remark, Written

_PATH, _FILE = "{path}", "{file}"
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "JAVA_HOME", "GOPATH", "GOCACHE", "NODE_PATH")
_LINES, _NAME = 10_000, 200  # of an output, bytes of a file name


class Linter(BaseModel):
    """A command that prints a line for each complaint about its standard input, or about `{file}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: tuple[str, ...] = Field(min_length=1, description="`{path}` is the path in the project.")
    timeout: float = Field(default=20.0, gt=0, le=600, description="Seconds.")


class LinterSettings(BaseModel):
    """The project's linters by language, as the data names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    linters: dict[str, Linter] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a linter says of a text."""

    status: int
    complaints: int

    @property
    def failed(self) -> bool:
        """Whether the linter did not do its work: it is not content, and complains of nothing."""
        return self.status != 0 and self.complaints == 0

    def allows(self, changed: Verdict) -> bool:
        """Tell whether a change of this text to another is no step back."""
        return changed.status == 0 or (self.status != 0 and changed.complaints <= self.complaints)


@dataclass(frozen=True, slots=True)
class Style:
    """What became of the suggestions in a language that has a linter."""

    checked: int
    compliant: Estimate  # share of these that bring no new complaint
    unchecked: Counter[str]  # by reason


def measure_style(
    items: Sequence[ReviewItem],
    written: Written,
    settings: LinterSettings,
    checkout: Path | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Style:
    """Return how many suggestions keep to the style; raises InputError where a linter cannot be started.

    The text is the whole file where `checkout` still has the hunk at its lines, else the hunk.
    """
    places, kept, unchecked = [], [], Counter[str]()
    for place, (item, remarks) in enumerate(zip(items, written.remarks, strict=True)):
        linter = settings.linters.get(item.language)
        for remark in remarks if linter else ():
            if linter is None or remark.suggestion is None:
                continue
            verdict = _complies(item, remark, remark.suggestion, linter, checkout)
            if isinstance(verdict, str):
                unchecked[verdict] += 1
            else:
                places.append(place)
                kept.append(float(verdict))
    weights, at = item_weights(len(items), samples, seed), np.array(places, int)
    sums = np.bincount(at, np.array(kept, float), len(items))
    share = mean(sums, weights, per=np.bincount(at, minlength=len(items)))
    return Style(len(kept), estimate(share), unchecked)


def check_linters(settings: LinterSettings, checkout: Path | None = None) -> None:
    """Raise InputError where a linter cannot be started, before anything takes hours."""
    for linter in settings.linters.values():
        run_linter(linter, "check", "", checkout)


def run_linter(linter: Linter, path: str, text: str, folder: Path | None) -> Verdict | None:
    """Return what the linter says of `text` as the content of `path`; None if it does not end in time."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile() as output:
        file = Path(name) / _file_name(path)
        command = [part.replace(_PATH, path).replace(_FILE, str(file)) for part in linter.command]
        data = text.encode("utf-8", "surrogateescape")
        if _FILE in "".join(linter.command):
            file.write_bytes(data)
            data = b""
        status = _run(command, data, output.fileno(), folder or Path(name), linter.timeout)
        if status is None:
            return None
        output.seek(0)
        complaints = sum(bool(line.strip()) for _, line in zip(range(_LINES), output, strict=False))
    return Verdict(status, complaints)


def _file_name(path: str) -> str:
    """Return the last part of a path where it can name a file: linters may look at it."""
    name = PurePosixPath(path).name
    return (
        name
        if name not in ("", "..") and len(name.encode()) <= _NAME
        else f"file{PurePosixPath(path).suffix[:20]}"
    )


def _complies(
    item: ReviewItem, remark: Remark, suggestion: str, linter: Linter, checkout: Path | None
) -> bool | str:
    """Return whether the suggestion complies, or why that cannot be said."""
    if item.path.startswith("-") or "\0" in item.path:
        return "path that could be an option"
    rows, place = _text(item, remark.line, checkout)
    changed = [*rows[:place], *indent_suggestion(suggestion, rows[place]).split("\n"), *rows[place + 1 :]]
    verdicts = [run_linter(linter, item.path, "\n".join(text) + "\n", checkout) for text in (rows, changed)]
    before, after = verdicts
    if before is None or after is None:
        return "linter took too long"
    return "linter failed" if before.failed or after.failed else before.allows(after)


def _text(item: ReviewItem, line: int, checkout: Path | None) -> tuple[list[str], int]:
    """Return the rows of the file, or of the hunk, and the place of `line` in them."""
    shown = {row.new_number: row.text for row in item.to_chunk().lines if row.new_number is not None}
    if checkout is not None:
        rows = _rows(checkout, item.path)
        if rows and all(0 < at <= len(rows) and rows[at - 1] == text for at, text in shown.items()):
            return rows, line - 1
    return list(shown.values()), list(shown).index(line)


def _rows(checkout: Path, path: str) -> list[str]:
    """Return the rows of a file of the checkout; none of what lies outside it or is no text."""
    file = (checkout / path).resolve()
    if not file.is_relative_to(checkout.resolve()):
        return []
    try:
        return file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError):
        return []


def _run(command: Sequence[str], data: bytes, output: int, folder: Path, timeout: float) -> int | None:
    environment = _environment(os.environ)
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise InputError(f"linter {command[0]}: {error.strerror}") from error
    with process:
        try:
            process.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None
    return process.returncode


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    return {name: given[name] for name in _ENVIRONMENT if name in given}
