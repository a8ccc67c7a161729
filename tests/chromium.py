"""A headless Chromium, driven by its own protocol: no further package, no network."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_SECONDS = 120
_LOADED = "location.protocol.startsWith('http') && document.readyState === 'complete'"
_LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")


def find() -> str | None:
    """Return the browser that is installed, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class NoAnswer(AssertionError):
    """The browser refused a call: it may be between two pages."""


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return what the browser answers to one call; events meanwhile are passed over."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async for message in self._socket:
            answer = json.loads(message.data)
            if answer.get("id") == number:
                if "error" in answer:
                    raise NoAnswer(answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
        raise AssertionError("the browser is gone")

    async def evaluate(self, script: str) -> Any:
        """Return the value of JavaScript."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str, seconds: float) -> Any:
        """Return the first true value of JavaScript; a page that never has one is shown in the error."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    with suppress(NoAnswer):
                        if value := await self.evaluate(script):
                            return value
                    await asyncio.sleep(0.1)
        except TimeoutError:
            text = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {script}\n{text}") from None

    async def type(self, selector: str, text: str) -> None:
        """Type as a person would, key by key, and press Enter, when the page is loaded with its scripts."""
        found = f"document.querySelector({json.dumps(selector)})"
        await self.until(f"{_LOADED} && {found} !== null", _START_SECONDS)
        await self.evaluate(f"{found}.focus()")
        await self.call("Input.insertText", text=text)
        enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, **enter)

    async def screenshot(self, width: int = 1040) -> bytes:
        """Return a picture of the whole page, PNG."""
        height = await self.evaluate("document.documentElement.scrollHeight")
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        data = (await self.call("Page.captureScreenshot", format="png"))["data"]
        return base64.b64decode(data)


@asynccontextmanager
async def browser(folder: Path, url: str) -> AsyncIterator[Page]:
    """Give a tab that shows `url`, loaded to its end. `folder` holds the profile; nothing is left running."""
    binary = find()
    assert binary is not None
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # it refuses to have one as root
    # Into a file: a pipe would be held open by the browser's other processes, which end after it.
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            binary, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}",
            "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--window-size=1040,900", *sandbox, url,
            stdout=asyncio.subprocess.DEVNULL, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            async with aiohttp.ClientSession() as session:
                async with asyncio.timeout(_START_SECONDS):
                    socket_url = await _tab(session, await _address(process, log))
                async with session.ws_connect(socket_url, max_msg_size=2**27) as socket:
                    page = Page(socket)
                    await page.until(_LOADED, _START_SECONDS)
                    yield page
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _address(process: asyncio.subprocess.Process, log: IO[bytes]) -> str:
    while (match := _LISTENING.search(said := os.pread(log.fileno(), 2**20, 0))) is None:
        assert process.returncode is None, f"the browser did not start: {said!r}"
        await asyncio.sleep(0.05)
    return match[1].decode().split("/")[2]


async def _tab(session: aiohttp.ClientSession, address: str) -> str:
    """Return where the tab is driven. The browser listens before it has one."""
    while True:
        async with session.get(f"http://{address}/json/list") as answer:
            tabs = await answer.json()
        for tab in tabs:
            if tab["type"] == "page":
                return str(tab["webSocketDebuggerUrl"])
        await asyncio.sleep(0.05)
