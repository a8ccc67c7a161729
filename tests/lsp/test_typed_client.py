"""Another reading of the protocol: a typed client, of pygls, understands all that the server says."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from editors import ROOT, SECONDS, capabilities
from lsprotocol import types
from pygls.lsp.client import LanguageClient
from serving import Served
from typed import converter

TEXT = "x = 1\nz = eval(x)\n"


class Client(LanguageClient):
    """A client that keeps what it is told, and what it cannot read."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__("tests", "1", converter_factory=converter)
        self.faults: list[Exception] = []
        self.shown: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()
        self.progress: list[object] = []
        feature = self.feature
        feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: self.shown.put_nowait(params))
        feature(types.WORKSPACE_CONFIGURATION)(lambda params: [settings for _ in params.items])
        feature(types.CLIENT_REGISTER_CAPABILITY)(lambda params: None)
        feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)(lambda params: None)
        feature(types.PROGRESS)(lambda params: self.progress.append(params.value))

    def report_server_error(self, error: Exception, source: type[Exception]) -> None:
        """Keep it."""
        self.faults.append(error)


@pytest.mark.parametrize("name", ["vscode", "neovim"])
def test_all_that_is_said_can_be_read(name: str, app: Path, engine: Served, tmp_path: Path) -> None:
    """From `initialize` to `exit`: diagnostics, progress, code actions, hover, and no fault on the way."""
    app.write_text(TEXT, "utf-8")

    async def main() -> None:
        client = Client({"engineUrl": engine.url, "debounceMs": 0})
        home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
        environment = {**os.environ, **home, "PYTHONPATH": str(ROOT)}
        await client.start_io(sys.executable, "-m", "lsp", env=environment)
        able = converter().structure(capabilities(name), types.ClientCapabilities)
        uri, root = app.as_uri(), app.parent.as_uri()
        folders = [types.WorkspaceFolder(uri=root, name="app")]
        made = await client.initialize_async(
            types.InitializeParams(capabilities=able, root_uri=root, workspace_folders=folders)
        )
        assert made.server_info is not None
        assert made.server_info.name == "tenken-lsp"
        client.initialized(types.InitializedParams())
        document = types.TextDocumentItem(uri=uri, language_id="python", version=1, text=TEXT)
        client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=document))
        about = types.TextDocumentIdentifier(uri=uri)
        client.text_document_did_save(types.DidSaveTextDocumentParams(text_document=about))
        shown: types.PublishDiagnosticsParams | None = None
        async with asyncio.timeout(SECONDS):
            while shown is None or not shown.diagnostics:
                shown = await client.shown.get()
        (found,) = shown.diagnostics
        assert (shown.uri, found.range.start.line, found.source) == (uri, 1, "tenken")
        context = types.CodeActionContext(diagnostics=[found])
        actions = await client.text_document_code_action_async(
            types.CodeActionParams(text_document=about, range=found.range, context=context)
        )
        assert "Explain this finding" in [action.title for action in actions or ()]
        hover = await client.text_document_hover_async(
            types.HoverParams(text_document=about, position=found.range.start)
        )
        assert hover is not None
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()
        assert client.faults == []

    asyncio.run(main())
