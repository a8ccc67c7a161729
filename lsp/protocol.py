"""pygls as this server uses it: documents are ours, notifications may be JSON already, and nothing grows.

pygls keeps documents whose lines are str.splitlines's, walks through all of them for every key, and keeps a
future for each notification that its own handlers take (1.9 KB a key). So those handlers are replaced.
"""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from lsprotocol import types
from pygls.protocol import LanguageServerProtocol, lsp_method

_CLOSE_SECONDS = 2.0
_ASKED_FOR = {"synchronization", "publishDiagnostics", "diagnostic", "codeAction", "hover"}


class TenkenProtocol(LanguageServerProtocol):
    """The protocol without pygls's documents."""

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        """Hand it on."""
        self._hand_on(types.TEXT_DOCUMENT_DID_OPEN, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        """Hand it on."""
        self._hand_on(types.TEXT_DOCUMENT_DID_CHANGE, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        """Hand it on."""
        self._hand_on(types.TEXT_DOCUMENT_DID_CLOSE, params)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """Return a message's object; of what a client can do with documents only what is asked for here.

        cattrs compiles code for each class that it meets, and a client tells of fifty of which five matter.
        """
        if "jsonrpc" in data and "method" in data:
            data.setdefault("params", None)  # may be left out, which pygls takes for a fault
        if data.get("method") == types.INITIALIZE and "jsonrpc" in data:
            with suppress(AttributeError, TypeError, KeyError):
                able = data["params"]["capabilities"]
                documents = able["textDocument"].items()
                able["textDocument"] = {name: value for name, value in documents if name in _ASKED_FOR}
        return super().structure_message(data)

    def send_text(self, message: str) -> None:
        """Send a message that is JSON already."""
        if self.writer is None:
            return
        body = message.encode()
        sent = self.writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        if inspect.isawaitable(sent):
            self._sending = asyncio.ensure_future(sent)

    def _hand_on(self, method: str, params: object) -> None:
        handler: Callable[[Any], object] = self.fm.features[method]
        handler(params)


class ThreadedWriter:
    """Writes in a thread: an editor that reads slowly must not stop the loop that reads what it says."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Have `data` written, in its turn."""
        self._waiting.put(data)

    def close(self) -> None:
        """Write what waits, and no more. Idempotent."""
        self._waiting.put(None)
        self._thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        try:
            while (data := self._waiting.get()) is not None:
                self._out.write(data)
                self._out.flush()
        except (OSError, ValueError):
            return  # the editor is gone; the reader notices that too
