"""The language server: what the protocol calls, registered; each handler hands on and returns.

What takes long to import (the engine's client, pydantic) is imported when the client has its answer to
`initialize`: see `TenkenServer.session`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.exceptions import (
    FeatureRequestError,
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcMethodNotFound,
)
from pygls.lsp.server import LanguageServer

from lsp.protocol import TenkenProtocol

if TYPE_CHECKING:
    from pygls.server import ServerErrors

    from lsp.commands import Commands
    from lsp.session import Session

NAME = "tenken-lsp"
_SECTION = "tenken"


class TenkenServer(LanguageServer):
    """One client's server."""

    def __init__(self, version: str, begin_log: Callable[[], None]) -> None:
        super().__init__(NAME, version, protocol_cls=TenkenProtocol)
        self.options: object = None
        self.locale: str | None = None
        self.pulls = False
        self._begin_log = begin_log

    @cached_property
    def commands(self) -> Commands:
        """The session and what can be asked of it; made at the first use, after `initialize` was answered."""
        from lsp.opening import open_session

        self._begin_log()
        return open_session(self)

    @property
    def session(self) -> Session:
        """The session."""
        return self.commands.session

    def can(self, capability: str) -> bool:
        """Tell whether the client has a capability, by its path in snake case."""
        return bool(get_capability(self.client_capabilities, capability, None))

    def report_server_error(self, error: Exception, source: ServerErrors) -> None:
        """Log a fault; no message is shown, and no text of it: that may quote code.

        What a client asks wrongly it is told in the answer, and is no fault of ours.
        """
        if source is FeatureRequestError and isinstance(error, (JsonRpcInvalidParams, JsonRpcMethodNotFound)):
            return
        from lsp.background import report

        if "commands" not in self.__dict__:
            self._begin_log()
        report(error, "protocol")


def make_server(version: str, begin_log: Callable[[], None] = lambda: None) -> TenkenServer:
    """Return the server with all its handlers; `begin_log` is called before anything is logged."""
    server = TenkenServer(version, begin_log)
    feature = server.feature

    @feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        options = params.initialization_options
        server.options = options
        server.locale = params.locale
        wanted = options.get(_SECTION, options) if isinstance(options, dict) else {}
        if isinstance(wanted, dict) and wanted.get("pull") is True:
            _offer_pull(server)

    @feature(types.INITIALIZED)
    async def initialized(params: types.InitializedParams) -> None:
        if server.can("workspace.did_change_configuration.dynamic_registration"):
            method = types.WORKSPACE_DID_CHANGE_CONFIGURATION
            wanted = types.Registration(id=method, method=method, register_options={"section": _SECTION})
            server.client_register_capability(types.RegistrationParams(registrations=[wanted]))
        await configure(None)

    @feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def configuration_changed(params: types.DidChangeConfigurationParams) -> None:
        await configure(params.settings)

    async def configure(pushed: object) -> None:
        server.commands.configure(await _configuration(server, pushed))

    @feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        server.session.opened(document.uri, document.version, document.text)

    @feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        document = params.text_document
        server.session.edited(document.uri, document.version, map(_change, params.content_changes))

    @feature(types.TEXT_DOCUMENT_DID_SAVE, types.SaveOptions(include_text=False))
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        server.session.saved(params.text_document.uri)

    @feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        server.session.closed(params.text_document.uri)

    @feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def folders_changed(params: types.DidChangeWorkspaceFoldersParams) -> None:
        event = params.event
        server.session.folders_changed((f.uri for f in event.added), (f.uri for f in event.removed))

    @feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix], resolve_provider=True),
    )
    def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        return server.commands.actions(params)

    @feature(types.CODE_ACTION_RESOLVE)
    def resolve(action: types.CodeAction) -> types.CodeAction:
        return server.commands.resolve(action)

    @feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        return server.commands.hover(params.text_document.uri, params.position.line)

    @feature(types.SHUTDOWN)
    def shutdown(params: None) -> None:
        if "commands" in server.__dict__:
            server.commands.close()

    for name in COMMANDS:
        server.command(name)(_handler(server, name))
    return server


COMMANDS = (
    *("tenken.review", "tenken.reviewFile", "tenken.reviewBranch", "tenken.cancel", "tenken.clear"),
    *("tenken.dismiss", "tenken.wontFix", "tenken.wrong", "tenken.applied", "tenken.undo"),
    *("tenken.explain", "tenken.copyPrompt", "tenken.openThread", "tenken.showStatus"),
)


def _handler(server: TenkenServer, name: str) -> Callable[..., Any]:
    async def run(*arguments: Any) -> object:
        from lsp.commands import BadArgument

        try:
            return await server.commands.run(name, arguments)
        except BadArgument as error:
            raise JsonRpcInvalidParams(f"{name}: {error}") from error

    return run


def _offer_pull(server: TenkenServer) -> None:
    """Answer textDocument/diagnostic where the client asks again when told to; else findings are pushed."""
    asks_again = server.can("workspace.diagnostics.refresh_support")
    if not (asks_again and server.can("text_document.diagnostic")):
        return
    server.pulls = True
    options = types.DiagnosticOptions(inter_file_dependencies=False, workspace_diagnostics=False)

    @server.feature(types.TEXT_DOCUMENT_DIAGNOSTIC, options)
    def diagnostic(params: types.DocumentDiagnosticParams) -> types.DocumentDiagnosticReport:
        texts = server.commands.diagnostics(params.text_document.uri)
        structure = server.protocol._converter.structure
        items = [structure(json.loads(text), types.Diagnostic) for text in texts]
        return types.RelatedFullDocumentDiagnosticReport(items=items)


async def _configuration(server: TenkenServer, pushed: object) -> object:
    """Return the settings: what the client answers, else what it sent, over those of `initialize`."""
    from lsp.settings import settings_of

    given = settings_of(server.options)
    assert isinstance(given, dict)
    found = settings_of(pushed)
    if server.can("workspace.configuration"):
        wanted = types.ConfigurationParams(items=[types.ConfigurationItem(section=_SECTION)])
        try:
            found = (await server.workspace_configuration_async(wanted))[0]
        except (JsonRpcException, IndexError):
            found = None
    return {**given, **found} if isinstance(found, dict) else found or given


def _change(
    change: types.TextDocumentContentChangeEvent,
) -> tuple[tuple[tuple[int, int], tuple[int, int]] | None, str]:
    if isinstance(change, types.TextDocumentContentChangeWholeDocument):
        return None, change.text
    start, end = change.range.start, change.range.end
    return ((start.line, start.character), (end.line, end.character)), change.text
