"""An editor for tests: starts the server, speaks the protocol in plain JSON, and keeps what it is told."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "lsp"
SECONDS = 60.0  # a machine may be busy
_PUBLISHED = re.compile(
    rb'\{"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": \{"uri": "([^"]*)"'
)

Json = dict[str, Any]


def capabilities(name: str) -> Json:
    """Return the capabilities that a real editor sends."""
    found: Json = json.loads((DATA / f"{name}.json").read_text("utf-8"))
    return found


def server_environment(home: Path) -> dict[str, str]:
    """Return the environment of a server whose user has nothing but this home."""
    kept = {
        name: value for name, value in os.environ.items() if name[:4] not in ("ENGI", "LSP_", "LC_A", "LANG")
    }
    kept |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(home / "cache")}
    return kept | {"XDG_DATA_HOME": str(home / "data"), "GIT_CONFIG_GLOBAL": os.devnull}


class TestEditor:
    """One editor with its server."""

    __test__ = False

    def __init__(self, process: asyncio.subprocess.Process, settings: Json) -> None:
        self.process = process
        self.settings = settings
        self.published: dict[str, bytes] = {}
        self.told: list[Json] = []
        self.asked: list[Json] = []
        self.choice: str | None = None
        self.initialized: Json = {}
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @property
    def diagnostics(self) -> dict[str, Json]:
        """What was published last for each document; read when somebody looks, as it may be long."""
        return {uri: json.loads(body)["params"] for uri, body in self.published.items()}

    async def request(self, method: str, params: object = None) -> Any:
        """Return the result of a request; raises RuntimeError with the server's words for an error."""
        answer = await self.answer(method, params)
        if "error" in answer:
            raise RuntimeError(f"{answer['error']['code']}: {answer['error']['message']}")
        return answer.get("result")

    async def answer(self, method: str, params: object = None) -> Json:
        """Return the whole answer to a request."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send({"id": number, "method": method, "params": params})
        async with asyncio.timeout(SECONDS):
            return await self._waiting[number]

    def notify(self, method: str, params: object = None) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    async def command(self, name: str, **argument: object) -> Any:
        """Run a command with one object as its argument."""
        params = {"command": f"tenken.{name}", "arguments": [argument] if argument else []}
        return await self.request("workspace/executeCommand", params)

    def open(self, path: Path, text: str | None = None, version: int = 1) -> str:
        """Open a document, and return its address."""
        uri = path.as_uri()
        text = path.read_bytes().decode() if text is None else text
        document = {"uri": uri, "languageId": "python", "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        return uri

    def edit(self, uri: str, version: int, *changes: tuple[tuple[int, int, int, int], str] | str) -> None:
        """Change a document: ranges with their texts, or a whole text."""
        events: list[Json] = []
        for change in changes:
            if isinstance(change, str):
                events.append({"text": change})
            else:
                (line, column, end_line, end_column), text = change
                start, end = {"line": line, "character": column}, {"line": end_line, "character": end_column}
                events.append({"range": {"start": start, "end": end}, "text": text})
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": events})

    def save(self, uri: str, text: str | None = None) -> None:
        """Save a document: write its file if a text is given, and say so."""
        if text is not None:
            Path(unquote(urlsplit(uri).path)).write_bytes(text.encode())
        self.notify("textDocument/didSave", {"textDocument": {"uri": uri}})

    def close(self, uri: str) -> None:
        """Close a document."""
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def lines(self, uri: str) -> list[int]:
        """Return the first lines of what is shown of a document, from 1."""
        if uri not in self.published:
            return []
        shown = json.loads(self.published[uri])["params"]["diagnostics"]
        return [item["range"]["start"]["line"] + 1 for item in shown]

    def messages(self) -> list[str]:
        """Return all messages that were shown."""
        return [n["params"]["message"] for n in self.told if n["method"] == "window/showMessage"]

    def statuses(self) -> list[Json]:
        """Return all statuses that were told."""
        return [n["params"] for n in self.told if n["method"] == "tenken/status"]

    def progress(self) -> list[Json]:
        """Return all progress that was shown."""
        return [n["params"] for n in self.told if n["method"] == "$/progress"]

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds; what was told goes into the failure."""
        try:
            async with asyncio.timeout(SECONDS), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            shown = {uri: self.lines(uri) for uri in self.diagnostics}
            raise AssertionError(f"waited in vain; shown: {shown}; told: {self.told[-8:]}") from None

    async def until_lines(self, uri: str, *lines: int) -> None:
        """Wait until exactly these lines have a finding."""
        await self.until(lambda: self.lines(uri) == list(lines))

    async def until_state(self, state: str) -> Json:
        """Wait for a status, and return it."""
        await self.until(lambda: self.statuses() and self.statuses()[-1]["state"] == state)
        return self.statuses()[-1]

    async def configure(self, **settings: object) -> None:
        """Change settings, and wait until the server has them and looked at what is open."""
        self.settings.update(settings)
        told = len(self.statuses())
        self.notify("workspace/didChangeConfiguration", {"settings": {}})

        def taken() -> bool:
            states = [status["state"] for status in self.statuses()[told:]]
            return "starting" in states and states[-1] != "starting"

        await self.until(taken)

    async def actions(self, uri: str, line: int, only: str | None = None) -> dict[str, Json]:
        """Return the code actions on a line, from 1, by title."""
        place = {"line": line - 1, "character": 0}
        context: Json = {"diagnostics": []} | ({"only": [only]} if only else {})
        params = {
            "textDocument": {"uri": uri},
            "range": {"start": place, "end": place},
            "context": context,
        }
        return {action["title"]: action for action in await self.request("textDocument/codeAction", params)}

    async def hover(self, uri: str, line: int) -> str | None:
        """Return the hover on a line, from 1."""
        place = {"line": line - 1, "character": 0}
        found = await self.request("textDocument/hover", {"textDocument": {"uri": uri}, "position": place})
        return found["contents"]["value"] if found else None

    async def run(self, action: Json) -> Any:
        """Run the command of a code action."""
        command = action["command"]
        params = {"command": command["command"], "arguments": command["arguments"]}
        return await self.request("workspace/executeCommand", params)

    async def end(self) -> int:
        """Shut the server down and return its exit code."""
        await self.request("shutdown")
        self.notify("exit")
        async with asyncio.timeout(SECONDS):
            return await self.process.wait()

    def _send(self, message: Json) -> None:
        assert self.process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    async def _read(self) -> None:
        stdout = self.process.stdout
        assert stdout is not None
        while header := await stdout.readline():
            length = int(header.split(b":")[1])
            while (await stdout.readline()).strip():
                pass
            body = await stdout.readexactly(length)
            async with self._news:
                if (match := _PUBLISHED.match(body)) is not None:
                    self.published[match[1].decode()] = body
                else:
                    self._take(json.loads(body))
                self._news.notify_all()
        for waiting in self._waiting.values():
            waiting.set_exception(EOFError("the server ended"))

    def _take(self, message: Json) -> None:
        if "method" not in message:
            self._waiting.pop(message["id"]).set_result(message)
        elif "id" in message:
            self.asked.append(message)
            self._send({"id": message["id"], "result": self._result(message)})
        else:
            self.told.append(message)

    def _result(self, message: Json) -> object:
        match message["method"]:
            case "workspace/configuration":
                return [self.settings for _ in message["params"]["items"]]
            case "window/showMessageRequest":
                return {"title": self.choice} if self.choice else None
            case "window/showDocument":
                return {"success": True}
        return None


@asynccontextmanager
async def editing(
    folder: Path | None,
    settings: Mapping[str, object] | None = None,
    *,
    editor: str = "vscode",
    home: Path,
    client: Mapping[str, object] | None = None,
    locale: str | None = None,
    folders: Sequence[Path] | None = None,
    initializationOptions: Json | None = None,
    command: tuple[str, ...] = ("-m", "lsp"),
    **environment: str,
) -> AsyncIterator[TestEditor]:
    """Give an editor with a folder open; whatever happens, no server is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**server_environment(home), **environment},
        limit=2**26,
    )
    made = TestEditor(process, {"debounceMs": 20, **(settings or {})})
    opened = folders if folders is not None else [folder] if folder else []
    options = initializationOptions or {"client": {"status": True, **(client or {})}}
    try:
        made.initialized = await made.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": folder.as_uri() if folder else None,
                "workspaceFolders": [{"uri": path.as_uri(), "name": path.name} for path in opened],
                "capabilities": capabilities(editor),
                "locale": locale,
                "initializationOptions": options,
            },
        )
        made.notify("initialized", {})
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        made._reader.cancel()
