"""What the boards show -> notifications, a moment after something changed and not once for every key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from lsp.board import Board, Hidden
from lsp.client import Client
from lsp.diagnostics import publication
from lsp.documents import Document
from lsp.placing import Standing
from lsp.thread_board import ThreadBoard

_DELAY_SECONDS = 0.05


class Publisher:
    """Publishes what its boards show, each file under the address that the editor has for it."""

    def __init__(
        self,
        client: Client,
        document_at: Callable[[Path], Document | None],
        uri_of: Callable[[Path], str],
        hidden: Hidden,
        pulls: bool,
    ) -> None:
        self.board = Board(self.changed, hidden)
        self.threads = ThreadBoard(self.changed, self.board, hidden)
        self._client = client
        self._document_at = document_at
        self._uri_of = uri_of
        self._pulls = pulls
        self._changed: dict[Path, None] = {}
        self._published: dict[Path, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    def changed(self, path: Path) -> None:
        """Publish a file's findings soon."""
        self._changed[path] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY_SECONDS, self._due)

    def shown(self, path: Path) -> list[Standing]:
        """Return all that is shown of a file, from its top."""
        findings, threads = self.board.visible(path), self.threads.visible(path)
        return sorted([*findings, *threads], key=lambda p: (p.first, p.last)) if threads else [*findings]

    def flush(self) -> None:
        """Publish what changed."""
        changed, self._changed = self._changed, {}
        pulled = False
        for path in changed:
            document = self._document_at(path)
            uri = document.uri if document else self._uri_of(path)
            before = self._published.get(path)
            if before is not None and before != uri:
                self._client.send(publication(before, None, ()))
            if self._pulls and document is not None:
                pulled = True
                if self._published.pop(path, None) is not None:
                    self._client.send(publication(uri, document.version, ()))
                continue
            shown = self.shown(path)
            self._client.send(publication(uri, document.version if document else None, shown))
            if shown:
                self._published[path] = uri
            else:
                self._published.pop(path, None)
        if pulled:
            self._client.refresh()

    def _due(self) -> None:
        self._timer = None
        self.flush()
