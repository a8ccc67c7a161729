"""Bots that are killed, or frozen, at random points of reviews: what is lost, what is said twice, as JSON.

    python tests/benchmarks/bot_crashes.py --points 200 --output results.json
    python tests/benchmarks/bot_crashes.py --points 50 --freeze --output results.json
    tests/postgres.sh python tests/benchmarks/bot_crashes.py --postgres --points 200

A point is a review that was asked for and not done when the process was hit. Several run at once, begun
one after the other, so one hit meets each at another point. Killed, the bot is started again; with
--freeze there are two, one of which sleeps until the other has replaced it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "bot")]

from bot_world import EYES, Asking, World, world  # noqa: E402
from empty_databases import empty_database  # noqa: E402

from engine.cpus import available_cpus  # noqa: E402

_SILENT_SECONDS = 3.0
_PATIENCE = 900.0  # however busy the machine: what is not done then is lost
_LOG_TAIL = 20_000
_REVIEW_SECONDS = 5.0  # about as long as a review takes here


@dataclass(slots=True)
class Tally:
    """What was seen."""

    hits: int = 0
    points: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)  # the same, looked at again in the end
    seconds: list[float] = field(default_factory=list)  # from the hit to the last tick
    load: list[float] = field(default_factory=list)  # of the machine, at each hit


def main() -> None:
    """Run until enough points were hit, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=4, help="reviews that run at once")
    parser.add_argument("--freeze", action="store_true", help="two workers, one of which is frozen")
    parser.add_argument("--postgres", action="store_true", help="in the database of tests/postgres.sh")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder, _database(arguments.postgres, Path(folder)) as url:
        tally = asyncio.run(_run(arguments, Path(folder), url))
    text = json.dumps(_results(tally, arguments), indent=2) + "\n"
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text)


@contextmanager
def _database(postgres: bool, folder: Path) -> Iterator[str | None]:
    with empty_database("postgres", folder) if postgres else nullcontext() as url:
        yield url


async def _run(arguments: argparse.Namespace, folder: Path, url: str | None) -> Tally:
    tally = Tally()
    settings = {"BOT_SILENT_SECONDS": str(_SILENT_SECONDS), "BOT_REVIEWS": str(arguments.at_once)}
    async with world(folder, url, write_seconds=0.2, **settings) as at:
        askings: list[Asking] = []
        await at.add_bot("one")
        if arguments.freeze:
            await at.add_bot("two")
        while tally.points < arguments.points:
            await _hit(at, tally, arguments, askings)
            print(f"{tally.points} points, {dict(tally.faults)}", file=sys.stderr)
        # Once more, for what was said later than right after a hit.
        await asyncio.sleep(2 * _SILENT_SECONDS)
        await at.fake.webhooks.settle()
        for asking in askings:
            if faults := at.faults(asking):
                tally.late.update(faults)
    return tally


async def _hit(at: World, tally: Tally, arguments: argparse.Namespace, all_of_them: list[Asking]) -> None:
    askings = []
    for _ in range(arguments.at_once):
        askings.append(at.ask())
        await asyncio.sleep(random.uniform(0, 2 * _REVIEW_SECONDS / arguments.at_once))
    all_of_them += askings
    tally.load.append(os.getloadavg()[0])
    victim = random.choice(at.bots)
    for asking in askings:
        tally.stages[_stage(asking)] += 1
    tally.points += sum(not asking.is_done for asking in askings)
    tally.hits += 1
    started = time.monotonic()
    if arguments.freeze:
        victim.signal(signal.SIGSTOP)
        await asyncio.sleep(random.uniform(0, 3 * _SILENT_SECONDS))
        victim.signal(signal.SIGCONT)
    else:
        await victim.kill()
        await victim.start()
    await at.until_done(askings, _PATIENCE)
    tally.seconds.append(time.monotonic() - started)
    await at.fake.webhooks.settle()
    await asyncio.sleep(_SILENT_SECONDS + 2 if arguments.freeze else 0.5)
    for asking in askings:
        if faults := at.faults(asking):
            tally.faults.update(faults)
            print(f"!{asking.mr.iid}, note {asking.note.id}: {faults}", file=sys.stderr)
            for bot in at.bots:
                sys.stderr.write(bot.log.read_text()[-_LOG_TAIL:])


def _stage(asking: Asking) -> str:
    """Return how far a review was, as far as can be seen in GitLab."""
    if asking.is_done:
        return "done"
    bot_notes = [note for note in asking.mr.notes if note.author.bot]
    if bot_notes:
        return "some notes are written"
    if asking.mr.drafts:
        return "drafts are written"
    return "heard" if any(name == EYES for _, name, _ in asking.note.awards) else "not heard yet"


def _results(tally: Tally, arguments: argparse.Namespace) -> dict[str, object]:
    seconds = sorted(tally.seconds)
    return {
        "how": "SIGSTOP and SIGCONT, two workers" if arguments.freeze else "SIGKILL, then a restart",
        "database": "Postgres" if arguments.postgres else "SQLite",
        "hits": tally.hits,
        "points": tally.points,
        "stages": dict(tally.stages),
        "reviews": sum(tally.stages.values()),
        "faults": dict(tally.faults),
        "faults_in_the_end": dict(tally.late),
        "until_all_done_seconds": {
            "median": round(statistics.median(seconds), 1),
            "p95": round(seconds[int(0.95 * (len(seconds) - 1))], 1),
            "max": round(seconds[-1], 1),
        },
        "seed": arguments.seed,
        "load_average": round(statistics.mean(tally.load), 1),
        "machine": f"{platform.machine()}, {available_cpus()} CPUs",
        "python": platform.python_version(),
        "dbos": version("dbos"),
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
