"""pytest-lsp's client with the capabilities of its newest VS Code and Neovim: a review from start to exit.

A warning of pytest-lsp's fails the test, such as that of progress which the server did not create first.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_lsp
from editors import SECONDS, server_environment
from git_repository import Repository
from lsprotocol import types
from pytest_lsp.client import DEFAULT_CLIENT_FEATURES, progress, register_lsp_features
from serving import Served
from typed import converter

pytestmark = pytest.mark.asyncio

OLD = "old = eval(1)\ny = 2\n"
NEW = "old = eval(1)\n  z = eval('😀')\ny = 2\nw = eval(y)\n"
REGISTERED = {"visual-studio-code": [types.WORKSPACE_DID_CHANGE_CONFIGURATION], "neovim": []}
ENCODINGS = {
    "visual-studio-code": types.PositionEncodingKind.Utf16,
    "neovim": types.PositionEncodingKind.Utf8,
}
END_OF_SECOND_LINE = {"visual-studio-code": 16, "neovim": 18}


class Client(pytest_lsp.LanguageClient):
    """A client that keeps what was published with its version, and the server's exit code."""

    def __init__(self) -> None:
        super().__init__(converter_factory=converter)
        self.published: dict[str, types.PublishDiagnosticsParams] = {}
        self.registered: list[str] = []
        self.ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()
        register_lsp_features(self, FEATURES)

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds of what was published or of progress."""
        async with asyncio.timeout(SECONDS):
            while not holds():
                self.news.clear()
                await self.news.wait()

    async def until_lines(self, uri: str, *lines: int) -> list[types.Diagnostic]:
        """Wait until exactly these lines, from 1, have a finding, and return the findings."""
        await self.until(lambda: [item.range.start.line + 1 for item in self._shown(uri)] == list(lines))
        return self._shown(uri)

    async def actions(self, uri: str, found: types.Diagnostic) -> dict[str, types.CodeAction]:
        """Return the code actions for a finding, by title."""
        actions = await self.text_document_code_action_async(
            types.CodeActionParams(
                text_document=types.TextDocumentIdentifier(uri),
                range=found.range,
                context=types.CodeActionContext(diagnostics=[found]),
            )
        )
        return {action.title: action for action in actions or () if isinstance(action, types.CodeAction)}

    async def server_exit(self, server: asyncio.subprocess.Process) -> None:
        """Keep the exit code."""
        self.ended.set_result(server.returncode)
        await super().server_exit(server)

    def _shown(self, uri: str) -> list[types.Diagnostic]:
        return list(self.published[uri].diagnostics) if uri in self.published else []


def publish(client: Client, params: types.PublishDiagnosticsParams) -> None:
    """Keep what was published last for a document."""
    client.published[params.uri] = params
    client.news.set()


def report(client: Client, params: types.ProgressParams) -> None:
    """Keep a report of progress as pytest-lsp does."""
    progress(client, params)
    client.news.set()


def register(client: Client, params: types.RegistrationParams) -> None:
    """Keep what the server asks to be told."""
    client.registered += [item.method for item in params.registrations]


FEATURES = DEFAULT_CLIENT_FEATURES | {
    types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS: publish,
    types.PROGRESS: report,
    types.CLIENT_REGISTER_CAPABILITY: register,
}
CONFIG = pytest_lsp.ClientServerConfig(server_command=[sys.executable, "-m", "lsp"], client_factory=Client)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every server has a user of its own."""
    monkeypatch.setattr(CONFIG, "server_env", server_environment(tmp_path))


@pytest.fixture(autouse=True, params=["visual-studio-code", "neovim"])
def name(request: pytest.FixtureRequest) -> str:
    """The editor whose newest capabilities the client has."""
    return str(request.param)


@pytest_lsp.fixture(config=CONFIG)
async def client(
    lsp_client: Client, name: str, repository: Repository, engine: Served
) -> AsyncIterator[None]:
    """A client in a repository with a commit; in the end its server exits, with 0."""
    repository.commit(app=OLD)
    root = repository.root.as_uri()
    lsp_client.set_configuration({"engineUrl": engine.url, "debounceMs": 20}, section="tenken")
    made = await lsp_client.initialize_session(
        types.InitializeParams(
            capabilities=pytest_lsp.client_capabilities(name),
            root_uri=root,
            workspace_folders=[types.WorkspaceFolder(uri=root, name="app")],
        )
    )
    assert made.server_info is not None
    assert made.server_info.name == "tenken-lsp"
    assert made.capabilities.position_encoding == ENCODINGS[name]
    yield
    async with asyncio.timeout(SECONDS):
        await lsp_client.shutdown_session()
        assert await lsp_client.ended == 0


async def save_evals(client: Client, app: Path) -> tuple[str, list[types.Diagnostic]]:
    """Open the file, change it, save it, and return its address and the findings on what is new."""
    uri = app.as_uri()
    document = types.TextDocumentItem(uri=uri, language_id="python", version=1, text=OLD)
    client.text_document_did_open(types.DidOpenTextDocumentParams(document))
    change = types.TextDocumentContentChangeWholeDocument(text=NEW)
    versioned = types.VersionedTextDocumentIdentifier(version=2, uri=uri)
    client.text_document_did_change(types.DidChangeTextDocumentParams(versioned, [change]))
    await asyncio.to_thread(app.write_text, NEW, "utf-8")
    client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri)))
    return uri, await client.until_lines(uri, 2, 4)


async def test_a_saved_change_is_reviewed(client: Client, name: str, repository: Repository) -> None:
    """What is new is found, of the version that was saved, with progress; hover says what was found."""
    uri, (found, _) = await save_evals(client, repository.root / "app.py")
    assert client.registered == REGISTERED[name]
    assert client.published[uri].version == 2
    assert (found.source, found.code) == ("tenken", "security")
    end = END_OF_SECOND_LINE[name]
    assert found.range == types.Range(types.Position(1, 2), types.Position(1, end))
    hover = await client.text_document_hover_async(
        types.HoverParams(types.TextDocumentIdentifier(uri), found.range.start)
    )
    assert hover is not None
    assert isinstance(hover.contents, types.MarkupContent)
    assert "z = eval('😀')" in hover.contents.value
    (reports,) = client.progress_reports.values()
    await client.until(lambda: isinstance(reports[-1], types.WorkDoneProgressEnd))
    assert isinstance(reports[0], types.WorkDoneProgressBegin)
    assert reports[-1] == types.WorkDoneProgressEnd(message="2 findings")
    assert client.messages == []


async def test_a_dismissed_finding_is_gone(client: Client, repository: Repository) -> None:
    """The command of a code action hides its finding, which has no actions any more; the other one stays."""
    uri, (found, other) = await save_evals(client, repository.root / "app.py")
    command = (await client.actions(uri, found))["Dismiss here"].command
    assert command is not None
    await client.workspace_execute_command_async(
        types.ExecuteCommandParams(command.command, arguments=command.arguments)
    )
    assert await client.until_lines(uri, 4) == [other]
    assert await client.actions(uri, found) == {}
    assert "Dismiss here" in await client.actions(uri, other)
