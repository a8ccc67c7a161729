"""How fast the language server is, as a client sees it: start, keys, memory, and many editors at one engine.

    python tests/benchmarks/lsp_speed.py --output tests/benchmarks/results/lsp_speed.json

- `initialize`: from the start of the process to the answer; also the CPU time of the process until then,
  which does not depend on how busy the machine is.
- `change`: from a `didChange` to the answer to a request sent right after it, which the server takes up when
  it is done with the change. In a file of 5,000 lines with 1,000 findings; keys that move no finding, and new
  lines at the top, which move all and have them published anew. 30 a second, as a held key repeats.
  `request_alone` is the same without a change: the way there and back on this machine.
  `change_cpu_milliseconds` is what the server computes for one of the changes of `memory`, publishing
  included: it does not depend on how busy the machine is.
- `memory`: resident memory before and after 20,000 changes, half of which move every finding.
- `editors`: that many servers, each with a repository of its own, at one engine with the real model; all save
  at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "lsp"), str(TESTS.parent)]

from editors import TestEditor, editing  # noqa: E402
from git_repository import Repository  # noqa: E402
from serving import finding_evals, serving  # noqa: E402

from engine.tokens import Role, TokenFile  # noqa: E402
from tests.benchmarks.machine import describe_machine, load_average  # noqa: E402

LINES, FINDINGS = 5_000, 1_000
Numbers = dict[str, float]


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--changes", type=int, default=1_000)
    parser.add_argument("--edits", type=int, default=20_000)
    parser.add_argument("--editors", type=int, default=50)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    machine = describe_machine(("pygls", "lsprotocol")) | {"niceness": os.nice(0)}
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(_measure(Path(folder).resolve(), options))
    text = json.dumps({"machine": machine, **results, "load_average_at_end": load_average()}, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


async def _measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    results: dict[str, Any] = {"initialize": await _starts(folder, options.starts)}
    results |= await _keys(folder, options.changes, options.edits)
    if options.editors:
        results["editors"] = await _editors(folder, options.editors)
    return results


async def _starts(folder: Path, count: int) -> dict[str, Numbers]:
    seconds, cpu = [], []
    for _ in range(count + 1):
        started = time.perf_counter()
        async with editing(None, home=folder) as editor:
            seconds.append(time.perf_counter() - started)
            cpu.append(_cpu_seconds(editor.process.pid))
    return {"seconds": _spread(seconds[1:]), "cpu_seconds": _spread(cpu[1:])}  # the first filled caches


async def _keys(folder: Path, count: int, edits: int) -> dict[str, Any]:
    repository, path = _big_file(folder / "big")
    with serving(finding_evals()) as served:
        async with editing(repository.root, {"engineUrl": served.url}, home=folder) as editor:
            uri = editor.open(path)
            editor.save(uri)
            await editor.until(lambda: len(editor.lines(uri)) == FINDINGS)
            version = 1
            keys, moves, alone = [], [], []
            for number in range(count):
                version += 2
                keys.append(await _timed(editor, uri, version, ((LINES, 0, LINES, 0), "x")))
                text = "\n" if number % 2 == 0 else ""
                place = (0, 0, 0, 0) if text else (0, 0, 1, 0)
                moves.append(await _timed(editor, uri, version + 1, (place, text)))
                alone.append(await _timed(editor, uri, version + 1, None))
            before, cpu = _resident_mb(editor.process.pid), _cpu_seconds(editor.process.pid)
            for number in range(edits // 4):
                version += 4
                for step, change in enumerate(_round_trip()):
                    editor.edit(uri, version + step, change)
                if number % 50 == 0:
                    await editor.hover(uri, 1)
            await editor.hover(uri, 1)
            after, cpu = _resident_mb(editor.process.pid), _cpu_seconds(editor.process.pid) - cpu
            assert len(editor.lines(uri)) == FINDINGS
    return {
        "findings": FINDINGS,
        "lines": LINES,
        "change_milliseconds": {
            "typing": _spread(keys, 1e3),
            "moving_all": _spread(moves, 1e3),
            "request_alone": _spread(alone, 1e3),
        },
        "change_cpu_milliseconds": round(1e3 * cpu / edits, 3),
        "memory": {
            "edits": edits,
            "before_mb": before,
            "after_mb": after,
            "growth_mb": round(after - before, 2),
        },
    }


def _round_trip() -> Sequence[tuple[tuple[int, int, int, int], str]]:
    """Return changes that come to nothing, two of which move every finding."""
    return (
        ((0, 0, 0, 0), "\n"),
        ((0, 0, 1, 0), ""),
        ((LINES, 0, LINES, 0), "x"),
        ((LINES, 0, LINES, 1), ""),
    )


async def _timed(
    editor: TestEditor, uri: str, version: int, change: tuple[tuple[int, int, int, int], str] | None
) -> float:
    await asyncio.sleep(0.033)  # a held key repeats 30 times a second
    started = time.perf_counter()
    if change is not None:
        editor.edit(uri, version, change)
    await editor.hover(uri, LINES)
    return time.perf_counter() - started


async def _editors(folder: Path, count: int) -> dict[str, Any]:
    """Return how long saves of `count` editors take at one engine with the real model."""
    tokens = folder / "tokens.json"
    secrets = [TokenFile(tokens).create(Role.REVIEWER) for _ in range(count)]
    with _engine(folder, tokens) as url:
        async with AsyncExitStack() as stack:
            opened: list[tuple[TestEditor, str]] = []
            for number, secret in enumerate(secrets):
                repository = Repository(folder / f"editor{number}")
                repository.git("init", "-q")
                repository.commit(a="x = 1\n")
                repository.write(a="def add(item, items=[]):\n    items.append(item)\n    return items\n")
                settings = {"engineUrl": url, "engineToken": secret, "timeoutSeconds": 600}
                editor = await stack.enter_async_context(
                    editing(repository.root, settings, home=folder / "homes")
                )
                opened.append((editor, editor.open(repository.root / "a.py")))
            started = time.perf_counter()
            seconds = await asyncio.gather(*(_saved(editor, uri, started) for editor, uri in opened))
            worst = [m for editor, _ in opened for m in editor.messages()]
            found = sum(len(editor.lines(uri)) for editor, uri in opened)
    return {"count": count, "seconds": _spread(seconds), "findings": found, "messages": len(worst)}


async def _saved(editor: TestEditor, uri: str, started: float) -> float:
    editor.save(uri)
    async with asyncio.timeout(900), editor._news:
        await editor._news.wait_for(lambda: editor.lines(uri))
    return time.perf_counter() - started


@contextmanager
def _engine(folder: Path, tokens: Path) -> Any:
    command = (sys.executable, "-m", "engine", "serve", "--port", "0", "--tokens", str(tokens))
    environment = {**os.environ, "ENGINE_DATA_DIR": str(folder / "engine"), "PYTHONPATH": str(TESTS.parent)}
    with (folder / "engine.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().rpartition(" ")[2].strip()
    finally:
        process.terminate()
        process.wait(60)


def _big_file(root: Path) -> tuple[Repository, Path]:
    """Return a repository with a file in which every fifth line was changed for the worse."""
    repository = Repository(root)
    repository.git("init", "-q")
    fine = [f"line_{number} = {number}" for number in range(LINES)]
    repository.commit(big="\n".join(fine) + "\n")
    step = LINES // FINDINGS
    worse = [f"line_{n} = eval({n})" if n % step == 0 else row for n, row in enumerate(fine)]
    repository.write(big="\n".join(worse) + "\n")
    (root / ".tenken.toml").write_text("max_findings = 1000\n")
    return repository, root / "big.py"


def _spread(values: Sequence[float], scale: float = 1) -> Numbers:
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    named = {"p50": cuts[49], "p90": cuts[89], "p99": cuts[98], "min": min(values), "max": max(values)}
    return {name: round(value * scale, 3) for name, value in named.items()}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match
    return round(int(match[1]) / 1024, 2)


if __name__ == "__main__":
    main()
