"""The champion changes under load, with the real model: python -m tests.benchmarks.serve_swap.

Two adapters are uploaded, one is promoted, and reviews fly when the other is promoted and when that is rolled
back. Measured are the change itself, the time until the new champion has answered a review that came behind
those that fly, and whether any review was lost or read by another adapter than it began with.
Writes tests/benchmarks/results/serve_swap.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from engine.adapters import FILES, MANIFEST, load_adapter, starter_adapter, write_manifest
from tests.benchmarks.engine_process import (
    EXAMPLE,
    PACKAGES,
    EngineProcess,
    measurement,
    open_session,
    running_engine,
    say,
    until_ready,
)
from tests.benchmarks.machine import describe_machine, load_average

RESULTS = Path(__file__).parent / "results" / "serve_swap.json"
PROJECT = "group/app"


def main() -> None:
    """Run all changes and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--flying", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    machine = describe_machine(PACKAGES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copies = [_renamed(folder, f"copy-{letter}") for letter in "ab"]
        with running_engine(folder) as engine:
            measured = asyncio.run(_measure(engine, copies, arguments))
    results = {"machine": machine | {"load_average_at_end": load_average()}, **measured}
    arguments.out.write_text(f"{json.dumps(results, indent=2)}\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


def _renamed(folder: Path, name: str) -> Path:
    """Return the starter adapter under another name, which makes it another adapter."""
    starter = starter_adapter()
    assert starter is not None
    target = folder / name
    target.mkdir()
    for file in FILES:
        shutil.copy(starter / file, target / file)
    manifest = load_adapter(starter).manifest
    write_manifest(target, manifest.model_copy(update={"name": name}))
    return target


async def _measure(
    engine: EngineProcess, copies: list[Path], arguments: argparse.Namespace
) -> dict[str, Any]:
    async with asyncio.timeout(arguments.minutes * 60), open_session(engine.url) as session:
        ready = await until_ready(session)
        first, second = [await _upload(session, copy) for copy in copies]
        await _post(session, f"/v1/adapters/{first}/promote")
        cold = await _review(session, 0)
        say(f"{first} answered after {cold['seconds']:.1f} s")
        promoted = await _change(session, f"/v1/adapters/{second}/promote", first, second, arguments.flying)
        back = await _change(session, "/v1/adapters/roll-back", second, first, arguments.flying)
        loads = await measurement(session, {}, "tenken_adapter_load_seconds_count")
        seconds = await measurement(session, {}, "tenken_adapter_load_seconds_sum")
    return {
        "seconds_until_ready": round(ready, 2),
        "promote": promoted,
        "roll_back": back,
        "adapter_loads": {"count": int(loads), "mean_seconds": round(seconds / loads, 2)},
        "memory_mib": engine.memory_mib(),
    }


async def _change(
    session: aiohttp.ClientSession, path: str, before: str, after: str, count: int
) -> dict[str, Any]:
    """Change the champion while `count` reviews fly; one more comes behind."""
    flying = [asyncio.create_task(_review(session, number)) for number in range(count)]
    await _until_open(session, count)
    started = time.monotonic()
    await _post(session, path)
    changed = time.monotonic() - started
    behind = await _review(session, count)
    say(f"{after}: champion after {changed:.3f} s, answered after {time.monotonic() - started:.1f} s")
    reviews = await asyncio.gather(*flying)
    say(f"all {count} have landed after {time.monotonic() - started:.1f} s")
    return {
        "flying": count,
        "lost": sum(entry["status"] != 200 or entry["partial"] for entry in reviews),
        "read_by_another_adapter": sum(entry["adapter"] != before for entry in reviews),
        "change_seconds": round(changed, 3),
        "next_review": {"by_the_new_one": behind["adapter"] == after, "seconds": round(behind["seconds"], 1)},
        "all_landed_after_seconds": round(time.monotonic() - started, 1),
    }


async def _until_open(session: aiohttp.ClientSession, count: int) -> None:
    while True:
        if await measurement(session, {}, "tenken_open_reviews") >= count:
            return
        await asyncio.sleep(0.02)


async def _upload(session: aiohttp.ClientSession, directory: Path) -> str:
    form = aiohttp.FormData()
    for name in (MANIFEST, *FILES):
        form.add_field(name, (directory / name).read_bytes(), filename=name)
    async with session.post("/v1/adapters", params={"project": PROJECT}, data=form) as answer:
        said = await answer.json(content_type=None)
    if answer.status != 201:
        raise SystemExit(f"the adapter is not taken in: {said}")
    return str(said["version"])


async def _post(session: aiohttp.ClientSession, path: str) -> None:
    async with session.post(path, json={"project": PROJECT}) as answer:
        if answer.status != 200:
            raise SystemExit(f"{path}: {await answer.text()}")


async def _review(session: aiohttp.ClientSession, number: int) -> dict[str, Any]:
    body = {"diff": EXAMPLE.format(name=f"visit_{number}"), "project": PROJECT}
    started = time.monotonic()
    async with session.post("/v1/reviews", json=body) as answer:
        said = await answer.json(content_type=None)
    return {
        "status": answer.status,
        "adapter": said.get("adapter"),
        "partial": said.get("partial", True),
        "seconds": time.monotonic() - started,
    }


if __name__ == "__main__":
    main()
