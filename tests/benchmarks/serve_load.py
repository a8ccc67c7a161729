"""Many clients at one engine with the real model: python -m tests.benchmarks.serve_load --output FILE.

First all reviews at once: errors, shares, latency, memory. The share of a client is how many of its reviews
are done when half of all are; the ratio of the largest to the smallest is 1 where all are served alike.
Then callers that leave midway: what is still open, waiting and resident afterwards. What is not done when the
time is up is left undone, and the results say so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp

from engine.tokens import Role, TokenFile
from tests.benchmarks.engine_process import (
    EXAMPLE,
    PACKAGES,
    EngineProcess,
    bearer,
    measurement,
    open_session,
    running_engine,
    say,
    until_ready,
)
from tests.benchmarks.machine import describe_machine, load_average

_SAID_EVERY = 15.0  # seconds
_LEAVING = 20  # callers at once
_LONGEST_STAY = 2.0  # seconds
_SETTLED_WITHIN = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Done:
    """One review that was answered."""

    client: int
    status: int
    seconds: float
    findings: int
    tokens: int
    problem: str = ""


def main() -> None:
    """Run both parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--reviews", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--cancelled", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60, help="for each of the two parts")
    parser.add_argument("--adapter", help="directory, or none")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = TokenFile(folder / "tokens.json")
        clients = [tokens.create(Role.REVIEWER) for _ in range(arguments.clients)]
        adapter = ["--adapter", arguments.adapter] if arguments.adapter else []
        machine = describe_machine(PACKAGES)
        with running_engine(folder, "--tokens", str(folder / "tokens.json"), *adapter) as engine:
            parts = asyncio.run(_measure(engine, clients, arguments))
    results = {"machine": machine | {"load_average_at_end": load_average()}, **parts}
    text = json.dumps(results, indent=2) + "\n"
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


async def _measure(
    engine: EngineProcess, clients: Sequence[str], arguments: argparse.Namespace
) -> dict[str, Any]:
    async with open_session(engine.url) as session:
        say(f"ready after {await until_ready(session):.1f} s")
        limit = arguments.minutes * 60
        return {
            "all_at_once": await _load(engine, session, clients, arguments.reviews, limit),
            "left_midway": await _cancel(engine, session, clients[0], arguments.cancelled, limit),
        }


async def _load(
    engine: EngineProcess, session: aiohttp.ClientSession, clients: Sequence[str], reviews: int, limit: float
) -> dict[str, Any]:
    before, started = engine.memory_mib(), time.monotonic()
    done: list[Done] = []

    async def tell() -> None:
        while True:
            await asyncio.sleep(_SAID_EVERY)
            failed = sum(entry.status != 200 for entry in done)
            say(f"{len(done)} of {reviews} reviews, {failed} failed, {engine.memory_mib()['now']} MiB")

    telling = asyncio.create_task(tell())
    with suppress(TimeoutError):
        async with asyncio.timeout(limit), asyncio.TaskGroup() as group:
            for number in range(reviews):
                group.create_task(_review(session, clients, number, done))
    telling.cancel()
    memory = {"ready": before, "afterwards": engine.memory_mib()}
    summary = _summary(done, len(clients), time.monotonic() - started) if done else {}
    return {"reviews": reviews, "done": len(done), "clients": len(clients), **summary, "memory_mib": memory}


async def _review(
    session: aiohttp.ClientSession, clients: Sequence[str], number: int, done: list[Done]
) -> None:
    client = number % len(clients)
    body = {"diff": EXAMPLE.format(name=f"visit_{number}")}
    started = time.monotonic()
    async with session.post("/v1/reviews", json=body, headers=bearer(clients[client])) as answer:
        said = await answer.json(content_type=None)
    seconds, tokens = time.monotonic() - started, said.get("usage", {}).get("prompt_tokens", 0)
    done.append(
        Done(client, answer.status, seconds, len(said.get("findings", ())), tokens, said.get("type", ""))
    )


def _summary(done: Sequence[Done], clients: int, seconds: float) -> dict[str, Any]:
    half = Counter(entry.client for entry in done[: len(done) // 2])
    shares = [half[client] for client in range(clients)]
    latencies = sorted(entry.seconds for entry in done)
    return {
        "errors": dict(Counter(entry.problem for entry in done if entry.status != 200)),
        "findings": sum(entry.findings for entry in done),
        "seconds": round(seconds, 1),
        "reviews_per_second": round(len(done) / seconds, 3),
        "prompt_tokens_per_second": round(sum(entry.tokens for entry in done) / seconds, 1),
        "latency_seconds": {
            "median": round(statistics.median(latencies), 2),
            "p95": round(latencies[int(0.95 * (len(latencies) - 1))], 2),
        },
        "half_time_shares": {
            "min": min(shares),
            "max": max(shares),
            "ratio": round(max(shares) / max(1, min(shares)), 2),
        },
        "first": asdict(done[0]),
    }


async def _cancel(
    engine: EngineProcess, session: aiohttp.ClientSession, token: str, count: int, limit: float
) -> dict[str, Any]:
    headers = bearer(token)
    alone: list[Done] = []
    await _review(session, [token], 0, alone)
    stays = random.Random(0)
    left, memory, started = Counter[str](), [engine.memory_mib()["now"]], time.monotonic()
    turns = asyncio.Semaphore(_LEAVING)

    async def leave(number: int) -> None:
        async with turns:
            left[await _leave(session, headers, number, stays.uniform(0, _LONGEST_STAY))] += 1
        if left.total() % max(1, count // 10) == 0:
            memory.append(engine.memory_mib()["now"])
            say(f"{left.total()} of {count} left, {memory[-1]} MiB, {engine.threads()} threads")

    with suppress(TimeoutError):
        async with asyncio.timeout(limit), asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(leave(number))
    seconds = time.monotonic() - started
    settled = await _settled(session, headers)
    await _review(session, [token], 0, alone)
    return {
        "callers": count,
        "left": dict(left),
        "seconds": round(seconds, 1),
        "afterwards": settled,
        "threads": engine.threads(),
        "memory_mib_by_tenths": memory,
        "one_review_before_and_after": [asdict(entry) for entry in alone],
    }


async def _leave(session: aiohttp.ClientSession, headers: dict[str, str], number: int, seconds: float) -> str:
    """Ask for a review as events, and leave after a while; return how it was then."""
    body = {"diff": EXAMPLE.format(name=f"passer_by_{number}")}
    stream = {"Accept": "text/event-stream"}
    async with session.post("/v1/reviews", json=body, headers=headers | stream) as answer:
        if answer.status != 200:
            return f"refused with {answer.status}"
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await answer.read()
                return "done before"
        answer.close()
    return "midway"


async def _settled(session: aiohttp.ClientSession, headers: dict[str, str]) -> dict[str, float]:
    """Return what is open and waiting as soon as that is nothing, or when it does not get less."""
    started = time.monotonic()
    while True:
        names = {"open_reviews": "tenken_open_reviews", "waiting_works": "tenken_queue_works"}
        found = {key: await measurement(session, headers, name) for key, name in names.items()}
        taken = time.monotonic() - started
        if not any(found.values()) or taken > _SETTLED_WITHIN:
            return found | {"after_seconds": round(taken, 2)}
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    main()
