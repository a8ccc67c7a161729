"""Placed findings and threads -> code actions. Pure.

A finding is on the board only while its own code stands there, and a suggestion's edit carries the document's
version, or is made when the client asks for it: what is replaced is what was reviewed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import attrs
from lsprotocol import types

from lsp.documents import Document
from lsp.lines import content, width
from lsp.placing import Placed
from lsp.texts import Texts
from lsp.threads import PlacedThread
from lsp.verdicts import WrongReason

_ANNOTATION = "suggestion"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the client does with code actions."""

    previews: bool = False  # change annotations
    versions: bool = False  # edits that name the document's version
    resolves: bool = False  # asks for an edit when it is to be made


def actions_for(
    placed: Placed, document: Document, texts: Texts, able: Abilities, *, threads: bool = False
) -> Iterator[types.CodeAction]:
    """Yield what can be done about a finding, the most useful first; with `threads`, open its thread."""
    about: dict[str, object] = {"uri": document.uri, "fingerprint": placed.finding.fingerprint}
    if placed.finding.suggestion is not None:
        yield _edit(texts.apply, placed, document, able)
        if able.previews and able.versions:
            yield _edit(texts.preview, placed, document, able, why=texts.preview_why)
    yield _command(texts.explain, "tenken.explain", about)
    yield _command(texts.dismiss, "tenken.dismiss", about)
    yield _command(texts.wont_fix, "tenken.wontFix", about)
    for reason in WrongReason:
        if reason is not WrongReason.BAD_SUGGESTION or placed.finding.suggestion is not None:
            title = texts.wrong.format(reason=texts.wrong_reason[reason])
            yield _command(title, "tenken.wrong", {**about, "reason": reason.value})
    yield _command(texts.copy_prompt, "tenken.copyPrompt", about)
    if threads:
        yield _command(texts.open_thread, "tenken.openThread", about)


def thread_action(placed: PlacedThread, document: Document, texts: Texts) -> types.CodeAction:
    """Return what can be done about a thread: it is read and answered in the browser."""
    about: dict[str, object] = {"uri": document.uri, "thread": placed.thread.id}
    return _command(texts.open_thread, "tenken.openThread", about)


def _command(title: str, command: str, argument: dict[str, object]) -> types.CodeAction:
    return types.CodeAction(
        title=title,
        kind=types.CodeActionKind.QuickFix,
        command=types.Command(title=title, command=command, arguments=[argument]),
    )


def _edit(
    title: str, placed: Placed, document: Document, able: Abilities, why: str | None = None
) -> types.CodeAction:
    about = {"uri": document.uri, "fingerprint": placed.finding.fingerprint}
    later = able.resolves and not able.versions
    edit = replacement(placed, document)
    return types.CodeAction(
        title=title,
        kind=types.CodeActionKind.QuickFix,
        edit=None if later else _workspace_edit(document, edit, able, title, why),
        data=about if later else None,
        command=types.Command(title=title, command="tenken.applied", arguments=[about]),
        tags=[types.CodeActionTag.LlmGenerated],
    )


def resolved(action: types.CodeAction, placed: Placed, document: Document) -> types.CodeAction:
    """Return an action with its edit."""
    edit = types.WorkspaceEdit(changes={document.uri: [replacement(placed, document)]})
    return attrs.evolve(action, edit=edit)


def replacement(placed: Placed, document: Document) -> types.TextEdit:
    """Return the edit that puts a finding's suggestion in the place of its lines."""
    last = content(document.lines[placed.last])
    text = (placed.finding.suggestion or "").replace("\r\n", "\n").replace("\n", document.line_end)
    end = types.Position(line=placed.last, character=width(last, document.encoding))
    return types.TextEdit(types.Range(types.Position(line=placed.first, character=0), end), text)


def _workspace_edit(
    document: Document, edit: types.TextEdit, able: Abilities, title: str, why: str | None
) -> types.WorkspaceEdit:
    if not able.versions:
        return types.WorkspaceEdit(changes={document.uri: [edit]})
    named = types.OptionalVersionedTextDocumentIdentifier(uri=document.uri, version=document.version)
    if why is None:
        return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(named, [edit])])
    marked = types.AnnotatedTextEdit(range=edit.range, new_text=edit.new_text, annotation_id=_ANNOTATION)
    annotation = types.ChangeAnnotation(label=title, needs_confirmation=True, description=why)
    return types.WorkspaceEdit(
        document_changes=[types.TextDocumentEdit(named, [marked])],
        change_annotations={_ANNOTATION: annotation},
    )
