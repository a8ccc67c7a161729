"""Makes the parts of a session for a client that was just initialized: the one place that wires."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pygls.capabilities import get_capability

from engine.wire import Language
from lsp.actions import Abilities
from lsp.commands import Commands
from lsp.desk import Desk
from lsp.editor import Editor
from lsp.lines import Encoding
from lsp.session import Session
from lsp.texts import language_of
from lsp.workspace import Workspace

if TYPE_CHECKING:
    from lsp.server import TenkenServer


def open_session(server: TenkenServer) -> Commands:
    """Return the session of this server's client."""
    encoding = Encoding(server.server_capabilities.position_encoding or Encoding.UTF16)
    editor = Editor(server, server.options)
    workspace = Workspace(encoding, _folders(server))
    language: Language = language_of(server.locale or os.environ.get("LC_ALL") or os.environ.get("LANG"))
    desk = Desk(editor, workspace, encoding, language=language, pulls=server.pulls)
    able = Abilities(
        previews=server.can("workspace.workspace_edit.change_annotation_support"),
        resolves="edit" in (_edits_later(server) or ()),
        versions=server.can("workspace.workspace_edit.document_changes"),
    )
    commands = Commands(Session(desk), editor, able)
    gc.freeze()  # what was imported stays: no collection has to walk through it while somebody types
    return commands


def _edits_later(server: TenkenServer) -> Sequence[str] | None:
    """Return what the client asks for when it is needed."""
    path = "text_document.code_action.resolve_support.properties"
    found: Sequence[str] | None = get_capability(server.client_capabilities, path, None)
    return found


def _folders(server: TenkenServer) -> list[str]:
    """Return the open folders, also those of clients that know but one."""
    folders = [folder.uri for folder in server.workspace.folders.values()]
    return folders or ([server.workspace.root_uri] if server.workspace.root_uri else [])
