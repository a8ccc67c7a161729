"""A headless Chromium, driven by its own protocol: no further package, no network."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_SECONDS = 30
_LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")


def find() -> str | None:
    """Return the browser that is installed, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


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
                assert "error" not in answer, answer["error"]
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
                while not (value := await self.evaluate(script)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                return value
        except TimeoutError:
            text = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {script}\n{text}") from None

    async def type(self, selector: str, text: str) -> None:
        """Type as a person would, key by key, and press Enter."""
        found = f"document.querySelector({json.dumps(selector)})"
        await self.until(f"{found} !== null", _START_SECONDS)
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
    """Give a tab that shows `url`. `folder` holds the profile."""
    binary = find()
    assert binary is not None
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # it refuses to have one as root
    process = await asyncio.create_subprocess_exec(
        binary, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}", "--disable-gpu",
        "--no-first-run", "--disable-background-networking", "--window-size=1040,900", *sandbox, url,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        address = await asyncio.wait_for(_address(process), _START_SECONDS)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json/list") as answer:
                tabs = await answer.json()
            tab = next(tab for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=2**27) as socket:
                yield Page(socket)
    finally:
        process.kill()
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if match := _LISTENING.search(line):
            return match[1].decode().split("/")[2]
    raise AssertionError("the browser did not start")
