"""Deliveries at a steady rate to a bot that works: how soon each is answered, what is lost, as JSON.

    python tests/benchmarks/bot_load.py --seconds 60 --rate 100 --output results.json

Each delivery that holds a command is on disk before its 200. They come from this machine to its loopback,
open loop: a slow answer does not hold the next one back. `--commands` is the share with a command; the rest
is chatter, which is read, found to be of no interest, and answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "bot")]

import aiohttp  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from bot_world import SECRET, BotProcess, World, world  # noqa: E402
from empty_databases import empty_database  # noqa: E402

from engine.cpus import available_cpus  # noqa: E402

_LARGEST = 200  # deliveries a second


def main() -> None:
    """Send, count, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=100, help=f"deliveries a second, {_LARGEST} at most")
    parser.add_argument("--commands", type=float, default=1.0, help="share of deliveries with a command")
    parser.add_argument("--postgres", action="store_true", help="in the database of tests/postgres.sh")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    arguments.rate = min(arguments.rate, _LARGEST)
    with tempfile.TemporaryDirectory() as folder, _database(arguments.postgres, Path(folder)) as url:
        results = asyncio.run(_run(arguments, Path(folder), url))
    text = json.dumps(results, indent=2) + "\n"
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text)


@contextmanager
def _database(postgres: bool, folder: Path) -> Iterator[str | None]:
    with empty_database("postgres", folder) if postgres else nullcontext() as url:
        yield url


async def _run(arguments: argparse.Namespace, folder: Path, url: str | None) -> dict[str, object]:
    async with world(folder, url, BOT_POLL_SECONDS="600") as at:
        bot = await at.add_bot()
        at.project.hooks.clear()  # what the bot writes is not the load
        mr = at.fake.add_merge_request(at.project, {"a.py": "x = 1\n"}, author=at.author)
        payload = _payload(at, mr.iid)
        count = arguments.seconds * arguments.rate
        step = round(1 / arguments.commands) if arguments.commands else count + 1
        answers, late = await _send(bot, payload, count, arguments.rate, step)
        stored = await asyncio.to_thread(_stored, at)
        wanted = len(range(0, count, step))
        return _results(arguments, answers, late) | {
            "commands": wanted,
            "stored": stored,
            "lost": wanted - stored,
        }


def _payload(at: World, iid: int) -> dict[str, object]:
    return {
        "object_kind": "note",
        "event_type": "note",
        "user": {"id": at.author.id, "username": at.author.username},
        "project_id": at.project.id,
        "project": {"id": at.project.id, "path_with_namespace": at.project.path},
        "merge_request": {"iid": iid, "state": "opened", "description": "x" * 3000},
    }


async def _send(
    bot: BotProcess, payload: dict[str, object], count: int, rate: int, step: int
) -> tuple[list[tuple[int, float]], float]:
    """Send `count` deliveries; return status and seconds of each, and how late the last one was sent."""
    answers: list[tuple[int, float]] = []

    async def send(number: int) -> None:
        text = "/help" if number % step == 0 else "Looks good to me."
        attributes = {
            "id": 1_000_000 + number,
            "note": text,
            "noteable_type": "MergeRequest",
            "action": "create",
        }
        body = json.dumps({**payload, "object_attributes": attributes})
        headers = {
            "X-Gitlab-Token": SECRET,
            "X-Gitlab-Event": "Note Hook",
            "Idempotency-Key": f"load-{number}",
            "Content-Type": "application/json",
        }
        started = time.perf_counter()
        try:
            async with session.post("/webhook", data=body, headers=headers) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        answers.append((status, time.perf_counter() - started))

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=10)  # as GitLab
    base = f"http://127.0.0.1:{bot.port}"
    async with aiohttp.ClientSession(base, connector=connector, timeout=timeout) as session:
        late = 0.0
        async with asyncio.TaskGroup() as group:
            begun = time.perf_counter()
            for number in range(count):
                wait = begun + number / rate - time.perf_counter()
                if wait > 0:
                    await asyncio.sleep(wait)
                late = max(late, -wait)
                group.create_task(send(number))
    return answers, late


def _stored(at: World) -> int:
    engine = sa.create_engine(at.database.replace("postgresql://", "postgresql+psycopg://"))
    table = "workflow_status" if engine.dialect.name == "sqlite" else "dbos.workflow_status"
    with engine.connect() as connection:
        query = f"SELECT count(*) FROM {table} WHERE name = 'errand'"
        found: int = connection.execute(sa.text(query)).scalar_one()
    engine.dispose()
    return found


def _results(
    arguments: argparse.Namespace, answers: list[tuple[int, float]], late: float
) -> dict[str, object]:
    seconds = sorted(spent for _, spent in answers)

    def at(share: float) -> float:
        return round(1000 * seconds[min(len(seconds) - 1, int(share * len(seconds)))], 2)

    return {
        "database": "Postgres" if arguments.postgres else "SQLite",
        "deliveries": len(answers),
        "rate": arguments.rate,
        "statuses": dict(Counter(status for status, _ in answers)),
        "milliseconds": {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)},
        "sender_late_milliseconds": round(1000 * late, 2),
        "machine": f"{platform.machine()}, {available_cpus()} CPUs, sender and fakes included",
        "python": platform.python_version(),
        "dbos": version("dbos"),
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
