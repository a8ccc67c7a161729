"""The client as the protocol has it: what `lsp.client` asks for, said with what this client is able to do."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.exceptions import JsonRpcException

from lsp.client import Progress, Tone
from lsp.protocol import TenkenProtocol
from lsp.settings import CLIENT

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

STATUS = "tenken/status"
_LONGEST_MESSAGE = 600


class Editor:
    """One client. What it cannot do is left out or done in a simpler way."""

    def __init__(self, server: LanguageServer, options: object) -> None:
        self._server = server
        own = options.get(CLIENT) if isinstance(options, dict) else None
        own = own if isinstance(own, dict) else {}
        self._shows_status = own.get("status") is True
        self.takes_results = own.get("results") is True
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def hover_formats(self) -> Sequence[str]:
        """What hovers may be written in."""
        return get_capability(
            self._server.client_capabilities, "text_document.hover.content_format", None
        ) or [types.MarkupKind.PlainText]

    def can(self, capability: str) -> bool:
        """Tell whether the client has a capability, by its path in snake case."""
        return bool(get_capability(self._server.client_capabilities, capability, None))

    def send(self, notification: str) -> None:
        """Send a notification that is JSON already."""
        protocol = self._server.protocol
        assert isinstance(protocol, TenkenProtocol)
        protocol.send_text(notification)

    def status(self, status: Mapping[str, object]) -> None:
        """Send the status to a client that shows it."""
        if self._shows_status:
            self._server.protocol.notify(STATUS, dict(status))

    def message(self, tone: Tone, text: str) -> None:
        """Show a message."""
        kind = types.MessageType(tone.value)
        self._server.window_show_message(types.ShowMessageParams(type=kind, message=text))

    def progress(self, title: str, cancelled: Callable[[], None]) -> Progress:
        """Show that work begins, where the client can."""
        if not self.can("window.work_done_progress"):
            return NoProgress()
        return WorkDone(self._server, title, cancelled)

    async def choose(self, text: str, choices: Sequence[str]) -> int | None:
        """Have a person choose."""
        params = types.ShowMessageRequestParams(
            type=types.MessageType.Info,
            message=text,
            actions=[types.MessageActionItem(title=choice) for choice in choices],
        )
        with suppress(JsonRpcException):
            chosen = await asyncio.shield(self._server.window_show_message_request_async(params))
            if chosen is not None and chosen.title in choices:
                return choices.index(chosen.title)
        return None

    async def show(self, title: str, markdown: str) -> None:
        """Show a text as a document, or as a message where the client shows none."""
        if self.can("window.show_document.support"):
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="tenken-")
            path = Path(self._folder.name) / f"{title}.md"
            path.write_text(markdown, encoding="utf-8")
            if await self._shown(types.ShowDocumentParams(uri=path.as_uri(), take_focus=True)):
                return
        self.message(Tone.INFO, markdown[:_LONGEST_MESSAGE])

    async def open(self, url: str) -> bool:
        """Open an address in a browser."""
        if not self.can("window.show_document.support"):
            return False
        return await self._shown(types.ShowDocumentParams(uri=url, external=True))

    def refresh(self) -> None:
        """Have the client ask for diagnostics again."""
        self._server.workspace_diagnostic_refresh(None)

    def close(self) -> None:
        """Remove what was shown as documents."""
        if self._folder is not None:
            self._folder.cleanup()

    async def _shown(self, params: types.ShowDocumentParams) -> bool:
        with suppress(JsonRpcException):
            # pygls 2.1.1 takes an answer to a request whose task was cancelled for a fault: hence the shield.
            return (await asyncio.shield(self._server.window_show_document_async(params))).success
        return False


class NoProgress:
    """For clients that show none."""

    def report(self, message: str, percent: int | None) -> None:
        """Nothing."""

    def end(self, message: str) -> None:
        """Nothing."""


class WorkDone:
    """Work-done progress that a person can cancel."""

    def __init__(self, server: LanguageServer, title: str, cancelled: Callable[[], None]) -> None:
        self._progress = server.work_done_progress
        self._token = str(uuid.uuid4())
        self._over = False
        # Not awaited: clients take what follows in its order.
        server.window_work_done_progress_create(types.WorkDoneProgressCreateParams(token=self._token))
        begin = types.WorkDoneProgressBegin(title=title, cancellable=True, percentage=0)
        self._progress.begin(self._token, begin)
        loop = asyncio.get_running_loop()
        self._progress.tokens[self._token].add_done_callback(
            lambda token: loop.call_soon(cancelled) if token.cancelled() else None
        )

    def report(self, message: str, percent: int | None) -> None:
        """Say how far it is."""
        if not self._over:
            report = types.WorkDoneProgressReport(message=message, percentage=percent, cancellable=True)
            self._progress.report(self._token, report)

    def end(self, message: str) -> None:
        """Say that it is over."""
        if not self._over:
            self._over = True
            self._progress.end(self._token, types.WorkDoneProgressEnd(message=message))
            self._progress.tokens.pop(self._token, None)
