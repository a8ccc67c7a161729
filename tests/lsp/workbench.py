"""A real VS Code, as code-server in a headless Chromium, used as a person would."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import chromium
from editors import ROOT

SECONDS = 120.0  # a machine may be busy
ITEM = "#tenken\\.tenken\\.tenken"
"""The extension's item in the status bar."""

_RECORD_BAR = f"""(() => {{
    window.tenkenBars = [];
    const look = () => {{
        const text = document.querySelector({json.dumps(ITEM)})?.innerText;
        if (text !== undefined && text !== window.tenkenBars.at(-1)) window.tenkenBars.push(text);
    }};
    look();
    new MutationObserver(look).observe(document.querySelector(".statusbar"),
        {{subtree: true, childList: true, characterData: true}});
}})()"""
"""Takes down what it reads, one after the other."""

_BUTTONS = ".notifications-toasts .monaco-button, .notifications-center .monaco-button"
_LISTENING = re.compile(r"HTTP server listening on (http://\S+)")
_SIZE = {"width": 1180, "height": 720, "deviceScaleFactor": 1, "mobile": False}
_MODIFIERS = {"alt": 1, "ctrl": 2, "meta": 4, "shift": 8}
_KEYS = {
    "enter": ("Enter", "Enter", 13),
    "escape": ("Escape", "Escape", 27),
    "home": ("Home", "Home", 36),
    "end": ("End", "End", 35),
    "down": ("ArrowDown", "ArrowDown", 40),
    "f1": ("F1", "F1", 112),
    ".": (".", "Period", 190),
}
_SETTINGS = {
    "workbench.startupEditor": "none",
    "telemetry.telemetryLevel": "off",
    "extensions.autoCheckUpdates": False,
    "extensions.autoUpdate": False,
    "security.workspace.trust.enabled": False,
    "security.workspace.trust.startupPrompt": "never",
    "security.workspace.trust.banner": "never",
    "update.mode": "none",
    "files.autoSave": "off",
    "window.commandCenter": False,
    "workbench.tips.enabled": False,
    "editor.minimap.enabled": False,
    "editor.hover.delay": 100,
}


class CodeServer:
    """A running code-server with the extension in it."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.url = url

    def configure(self, **settings: object) -> None:
        """Write settings; those that begin with tenken are named without it.

        The browser is a client of a machine elsewhere: what holds for that machine alone, such as where the
        server is, has a file of its own, and in the user's it may or may not be seen.
        """
        mine = {key if "." in key else f"tenken.{key}": value for key, value in settings.items()}
        tenken = {"tenken.debounceMs": 20} | {key: mine[key] for key in mine if key.startswith("tenken.")}
        for folder, content in (("User", _SETTINGS | mine), ("Machine", tenken)):
            path = self.home / "data" / folder / "settings.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content), "utf-8")


class Workbench:
    """One window of VS Code."""

    def __init__(self, page: chromium.Page) -> None:
        self.page = page

    async def press(self, *chords: str) -> None:
        """Press keys, each with its modifiers: `ctrl+shift+m`."""
        for chord in chords:
            *held, name = chord.split("+")
            key, code, number = _KEYS.get(name) or (name, f"Key{name.upper()}", ord(name.upper()))
            event: dict[str, Any] = {"key": key, "code": code, "windowsVirtualKeyCode": number}
            event["modifiers"] = sum(_MODIFIERS[modifier] for modifier in held)
            text = {"text": "\r"} if name == "enter" else {}
            await self.page.call(
                "Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **event, **text
            )
            await self.page.call("Input.dispatchKeyEvent", type="keyUp", **event)

    async def write(self, text: str) -> None:
        """Type a text where the cursor is."""
        await self.page.call("Input.insertText", text=text)

    async def click(self, selector: str, text: str = "", *, seconds: float = SECONDS) -> None:
        """Click the first thing that is there, or the one that has a text, once it has come to rest."""
        place = None
        while (found := await self.page.until(_place(selector, text), seconds)) != place:
            place = found
            await asyncio.sleep(0.2)
        event = {"x": place["x"], "y": place["y"], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            await self.page.call("Input.dispatchMouseEvent", type=kind, **event)

    async def hover(self, selector: str) -> None:
        """Put the pointer on something."""
        place = await self.page.until(_place(selector, ""), SECONDS)
        for offset in (6, 0):  # what does not move is not hovered over
            await self.page.call(
                "Input.dispatchMouseEvent", type="mouseMoved", x=place["x"] + offset, y=place["y"]
            )

    async def texts(self, selector: str) -> list[str]:
        """Return the texts of what is there."""
        script = f"[...document.querySelectorAll({json.dumps(selector)})].map(each => each.innerText)"
        return list(await self.page.evaluate(script))

    async def until_text(self, selector: str, text: str, seconds: float = SECONDS) -> str:
        """Wait until something has a text that matches a regular expression; return its whole text."""
        script = f"""[...document.querySelectorAll({json.dumps(selector)})].map(each =>
            each.innerText).find(text => new RegExp({json.dumps(text)}).test(text))"""
        return str(await self.page.until(script, seconds))

    async def until_count(self, selector: str, count: int, seconds: float = SECONDS) -> None:
        """Wait until so many are there."""
        await self.page.until(
            f"document.querySelectorAll({json.dumps(selector)}).length === {count}", seconds
        )

    async def until_bar(self, text: str, seconds: float = SECONDS) -> None:
        """Wait until the extension's item in the status bar reads so, a regular expression for all of it."""
        await self.until_text(ITEM, rf"^\s*{text}\s*$", seconds)

    @asynccontextmanager
    async def bar_says(self, text: str, seconds: float = SECONDS) -> AsyncIterator[None]:
        """Wait in the end until it has read so since the beginning, though it may read otherwise by then."""
        since = await self.page.evaluate("tenkenBars.length")
        yield
        pattern = json.dumps(rf"^\s*{text}\s*$")
        await self.page.until(
            f"tenkenBars.slice({since}).some(text => new RegExp({pattern}).test(text))", seconds
        )

    async def open(self, name: str) -> None:
        """Open a file of the folder."""
        await self.press("ctrl+p")
        await self.until_count(".quick-input-widget:not([style*='display: none']) input", 1)
        await self.write(name)
        await self.until_text(".quick-input-list .monaco-list-row", re.escape(name))
        await self.press("enter")
        await self.until_text(".tab.active", re.escape(name))
        await self.page.until("document.querySelector('.monaco-editor .view-line') !== null", SECONDS)

    async def run(self, title: str) -> None:
        """Run a command by its title in the command palette."""
        await self.press("f1")
        await self.until_count(".quick-input-widget:not([style*='display: none']) input", 1)
        await self.write(title)
        await self.until_text(".quick-input-list .monaco-list-row.focused", re.escape(title))
        await self.press("enter")

    async def pick(self, text: str) -> None:
        """Choose an entry of a list that was opened."""
        await self.click(".quick-input-list .monaco-list-row", text)

    async def answer(self, text: str) -> None:
        """Click a button of a notification, which after some seconds is only in the list of all."""
        async with asyncio.timeout(SECONDS):
            while True:
                with suppress(AssertionError):
                    return await self.click(_BUTTONS, text, seconds=8)
                await self.run("Notifications: Show Notifications")

    async def go(self, line: int) -> None:
        """Put the cursor on a line."""
        await self.press("ctrl+g")
        await self.until_count(".quick-input-widget:not([style*='display: none']) input", 1)
        await self.write(str(line))
        await self.press("enter")
        await self.until_text(".statusbar-item", rf"Ln {line},|行 {line}、")

    async def problems(self) -> list[int]:
        """Return the lines of what the Problems panel lists."""
        rows = "".join(await self.texts(".markers-panel .monaco-list-row"))
        return sorted(int(line) for line in re.findall(r"\[Ln (\d+)", rows))

    async def until_problems(self, *lines: int, seconds: float = SECONDS) -> None:
        """Wait until the Problems panel lists exactly these lines."""
        listed: list[int] = []
        try:
            async with asyncio.timeout(seconds):
                while (listed := await self.problems()) != list(lines):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"listed: {listed}, not {lines}") from None

    async def quick_fixes(self) -> list[str]:
        """Open the list of what can be done on the cursor's line, and return it.

        Where VS Code looks for a light bulb meanwhile, as it does a moment after the cursor moved, it drops
        what was asked for and says that there is nothing: a person asks again.
        """
        row, nothing = ".action-widget .monaco-list-row", ".monaco-editor-overlaymessage:not(.fadeOut)"
        async with asyncio.timeout(SECONDS):
            while True:
                await self.press("escape", "ctrl+.")
                await self.until_text(f"{row}, {nothing}", ".")
                if rows := await self.texts(row):
                    return [text.strip() for text in rows]

    async def quick_fix(self, title: str) -> None:
        """Choose one of them."""
        shown = await self.quick_fixes()
        assert title in shown, shown
        for _ in shown:
            if title in "".join(await self.texts(".action-widget .monaco-list-row.focused")):
                break
            await self.press("down")
        await self.press("enter")

    async def screenshot(self) -> bytes:
        """Return a picture of the window, PNG."""
        return base64.b64decode((await self.page.call("Page.captureScreenshot", format="png"))["data"])


def _place(selector: str, text: str) -> str:
    return f"""(() => {{
        const found = [...document.querySelectorAll({json.dumps(selector)})].find(each =>
            each.innerText.includes({json.dumps(text)}) && each.getClientRects().length > 0);
        if (found === undefined) return null;
        const box = found.getBoundingClientRect();
        return {{x: box.x + Math.min(box.width / 2, 60), y: box.y + box.height / 2}};
    }})()"""


@contextmanager
def code_server(program: str, vsix: Path, home: Path) -> Iterator[CodeServer]:
    """Give a code-server with the extension installed; nothing of it is left."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.yaml").touch()
    options = [
        "--config",
        home / "config.yaml",
        "--user-data-dir",
        home / "data",
        "--extensions-dir",
        home / "ext",
    ]
    kept = {name: value for name, value in os.environ.items() if name[:4] not in ("ENGI", "LSP_", "VSCO")}
    # No gallery: it is asked for nothing, and nothing waits for an answer.
    kept |= {"HOME": str(home), "EXTENSIONS_GALLERY": '{"serviceUrl":"http://127.0.0.1:9/none"}'}
    command = [program, *map(str, options)]
    subprocess.run(
        [*command, "--install-extension", str(vsix)], check=True, env=kept, capture_output=True, timeout=300
    )
    quiet = ["--bind-addr", "127.0.0.1:0", "--auth", "none", "--disable-telemetry", "--disable-update-check"]
    log = (home / "code-server.log").open("w+")
    process = subprocess.Popen([*command, *quiet], stdout=log, stderr=log, env=kept, start_new_session=True)
    try:
        yield CodeServer(home, _address(process, home / "code-server.log"))
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its children would outlive it
        process.wait()
        log.close()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + SECONDS
    while (match := _LISTENING.search(log.read_text("utf-8"))) is None:
        assert process.poll() is None, log.read_text("utf-8")
        assert time.monotonic() < end, "code-server does not listen"
        time.sleep(0.05)
    return match[1].rstrip("/")


@asynccontextmanager
async def window(server: CodeServer, folder: Path, profile: Path) -> AsyncIterator[Workbench]:
    """Give a window in which a folder is open."""
    async with chromium.browser(profile, f"{server.url}/?folder={folder}") as page:
        await page.call("Emulation.setDeviceMetricsOverride", **_SIZE)
        await page.until("document.querySelector('.monaco-workbench') !== null", SECONDS)
        made = Workbench(page)
        try:
            await made.page.until(f"document.querySelector({json.dumps(ITEM)}) !== null", SECONDS)
            await made.page.evaluate(_RECORD_BAR)
            yield made
        except BaseException:
            (profile.parent / "failed.png").write_bytes(await made.screenshot())
            raise


def install_server(home: Path, *command: str) -> Path:
    """Write the program `tenken-lsp` of a user and return its path: the real server, or a command."""
    path = home / "bin" / "tenken-lsp"
    path.parent.mkdir(parents=True, exist_ok=True)
    own = {f"XDG_{name}_HOME": home / name.lower() for name in ("CACHE", "CONFIG", "DATA")}
    own |= {
        "HOME": home,
        "PYTHONPATH": ROOT,
        "ENGINE_DATA_DIR": home / "engine",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    variables = " ".join(f"{name}={value}" for name, value in own.items())
    what = " ".join((sys.executable, *(command or ("-m", "lsp"))))
    path.write_text(f'#!/bin/sh\n{variables} exec {what} "$@"\n', "utf-8")
    path.chmod(0o755)
    return path


def find() -> tuple[str, Path] | None:
    """Return code-server and the package, where tests/vscode.sh gave them and there is a browser."""
    program, vsix = os.environ.get("TENKEN_TEST_VSCODE"), os.environ.get("TENKEN_TEST_VSIX")
    if not program or not vsix or shutil.which(program) is None or chromium.find() is None:
        return None
    return program, Path(vsix)
