"""Many clients at one engine with the real model: errors, shares, latency and memory, as JSON.

    python tests/benchmarks/serve_load.py --reviews 200 --clients 20 --output results.json

All reviews are sent at once. The share of a client is how many of its reviews are done when half of all are;
the ratio of the largest to the smallest share is 1 where the engine is perfectly fair.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from engine.cpus import available_cpus
from engine.tokens import Role, TokenFile

EXAMPLE = """--- /dev/null
+++ b/{name}.py
@@ -0,0 +1,8 @@
+import hashlib
+
+
+def {name}(customer, items=[]):
+    items.append(customer)
+    if type(items) == list and len(items) == 0:
+        return None
+    return hashlib.md5(customer["mail"].encode()).hexdigest()
"""


@dataclass(frozen=True, slots=True)
class Done:
    """One review that was answered."""

    client: int
    status: int
    seconds: float
    findings: int
    tokens: int


def main() -> None:
    """Run the load and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--reviews", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--adapter", help="directory, or none")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tokens = TokenFile(Path(folder) / "tokens.json")
        clients = [tokens.create(Role.REVIEWER) for _ in range(arguments.clients)]
        adapter = ["--adapter", arguments.adapter] if arguments.adapter else []
        with _engine("--tokens", f"{folder}/tokens.json", *adapter) as (url, process):
            results = asyncio.run(_load(url, clients, arguments.reviews, process.pid))
    text = json.dumps(results, indent=2) + "\n"
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text)


@contextmanager
def _engine(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "engine", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("tenken: listening on ").strip(), process
    finally:
        process.terminate()
        process.wait()


async def _load(url: str, clients: list[str], reviews: int, pid: int) -> dict[str, object]:
    limit = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=limit, timeout=aiohttp.ClientTimeout(None)) as session:
        await _until_ready(session)
        before = _memory_mib(pid)
        done: list[Done] = []
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(reviews):
                group.create_task(_review(session, clients, number, done))
        seconds = time.monotonic() - started
    return _summary(done, len(clients), seconds) | {
        "memory_mib": {"ready": before, "afterwards": _memory_mib(pid)},
        "machine": f"{platform.machine()}, {available_cpus()} CPUs",
    }


async def _until_ready(session: aiohttp.ClientSession) -> None:
    for _ in range(600):
        async with session.get("/readyz") as answer:
            if answer.status == 200:
                return
        await asyncio.sleep(0.1)
    raise SystemExit("the engine does not get ready")


async def _review(session: aiohttp.ClientSession, clients: list[str], number: int, done: list[Done]) -> None:
    client = number % len(clients)
    headers = {"Authorization": f"Bearer {clients[client]}"}
    body = {"diff": EXAMPLE.format(name=f"visit_{number}")}
    started = time.monotonic()
    async with session.post("/v1/reviews", json=body, headers=headers) as answer:
        review = await answer.json(content_type=None)
    findings = len(review.get("findings", ()))
    tokens = review.get("usage", {}).get("prompt_tokens", 0)
    done.append(Done(client, answer.status, time.monotonic() - started, findings, tokens))


def _summary(done: list[Done], clients: int, seconds: float) -> dict[str, object]:
    half = [entry.client for entry in done[: len(done) // 2]]
    shares = [half.count(client) for client in range(clients)]
    latencies = sorted(entry.seconds for entry in done)
    return {
        "reviews": len(done),
        "clients": clients,
        "errors": sum(entry.status != 200 for entry in done),
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


def _memory_mib(pid: int) -> dict[str, int]:
    status = Path(f"/proc/{pid}/status").read_text()
    return {
        name: int(found[1]) // 1024
        for name, key in (("now", "VmRSS"), ("most", "VmHWM"))
        if (found := re.search(rf"{key}:\s+(\d+)", status))
    }


if __name__ == "__main__":
    main()
