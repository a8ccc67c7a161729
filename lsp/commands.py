"""What a client may ask: commands with their arguments checked, code actions, hovers, diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lsprotocol import types
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from lsp import hovers
from lsp.actions import Abilities, actions_for, resolved, thread_action
from lsp.changes import Compared
from lsp.client import Tone
from lsp.diagnostics import diagnostic
from lsp.editor import Editor
from lsp.remarks import Remarks
from lsp.reviewer import Wish
from lsp.session import Session
from lsp.settings import Scope
from lsp.verdicts import WrongReason
from lsp.workspace import folder_of


class BadArgument(Exception):
    """A command's argument cannot be used; the text says which part."""


class Argument(BaseModel):
    """The one argument of every command; what a command has no use for is left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    uri: str | None = None
    fingerprint: str | None = None
    thread: str | None = None
    force: bool = False
    base: str = ""
    reason: str = ""
    comment: str = ""


class Commands:
    """Everything that a client may ask of a session."""

    def __init__(self, session: Session, editor: Editor, able: Abilities) -> None:
        self.session = session
        self._desk = session.desk
        self._editor = editor
        self._able = able
        self._remarks = Remarks(session)

    def configure(self, given: object) -> None:
        """Take settings."""
        self.session.configure(given)

    async def run(self, name: str, arguments: Sequence[object]) -> object:
        """Run a command; raises BadArgument."""
        argument = _argument(arguments)
        match name:
            case "tenken.review":
                wish = Wish(force=argument.force, by_person=True, compared=self._desk.compared)
                await self._review(argument.uri, wish)
            case "tenken.reviewFile":
                path = self.session.workspace.path_of(_needed("uri", argument.uri))
                wish = Wish(first=path, only=True, force=argument.force, by_person=True)
                await self._review(argument.uri, wish)
            case "tenken.reviewBranch":
                base = argument.base or self._desk.settings.base_branch
                compared = Compared(Scope.MERGE_BASE, base, self._desk.settings.untracked)
                await self._review(argument.uri, Wish(by_person=True, compared=compared))
            case "tenken.cancel":
                for reviewer in self.session.reviewers_of(argument.uri):
                    await reviewer.stop()
            case "tenken.clear":
                self._clear(argument.uri)
            case "tenken.undo":
                self._remarks.undo(argument.uri, argument.fingerprint)
            case "tenken.openThread" if argument.thread:
                return await self._remarks.open_thread(_needed("uri", argument.uri), argument.thread)
            case "tenken.showStatus":
                return await self._status()
            case _:
                return await self._about_finding(name, argument)
        return None

    def actions(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """Return what can be done about the findings on these lines."""
        wanted = params.context.only
        known = self.session.workspace.document(params.text_document.uri)
        if known is None or (wanted and not any(_covers(kind) for kind in wanted)):
            return []
        document, path = known
        first, last = params.range.start.line, params.range.end.line
        desk, threads = self._desk, bool(self._desk.settings.gitlab_url)
        found = [
            action
            for placed in desk.board.on_lines(path, first, last)
            for action in actions_for(placed, document, desk.texts, self._able, threads=threads)
        ]
        shown = desk.threads.on_lines(path, first, last)
        return found + [thread_action(placed, document, desk.texts) for placed in shown]

    def resolve(self, action: types.CodeAction) -> types.CodeAction:
        """Return an action with its edit, or without where the code changed since: then a message says so."""
        about = action.data
        if not isinstance(about, dict):
            return action  # a command: some clients ask about each
        known = self.session.workspace.document(str(about.get("uri")))
        placed = self._desk.board.find(known[1], str(about.get("fingerprint"))) if known else None
        if known is None or placed is None:
            self._desk.say(Tone.WARNING, self._desk.texts.changed)
            return action
        return resolved(action, placed, known[0])

    def hover(self, uri: str, line: int) -> types.Hover | None:
        """Return what is said of the findings and in the threads on a line."""
        path = self.session.workspace.path_of(uri)
        if path is None:
            return None
        board, threads = self._desk.board, self._desk.threads
        about = hovers.About(
            tuple(placed.finding for placed in board.on_lines(path, line, line)),
            tuple(placed.thread for placed in threads.on_lines(path, line, line)),
            board.adapter(path),
            partial(threads.about, path),
        )
        if not about.findings and not about.threads:
            return None
        kind, write = types.MarkupKind.PlainText, hovers.text
        if types.MarkupKind.Markdown in self._editor.hover_formats:
            kind, write = types.MarkupKind.Markdown, hovers.markdown
        value = write(about, self._desk.language)
        return types.Hover(contents=types.MarkupContent(kind=kind, value=value))

    def diagnostics(self, uri: str) -> list[str]:
        """Return a document's diagnostics, each as JSON."""
        path = self.session.workspace.path_of(uri)
        return [diagnostic(placed) for placed in self._desk.shown(path)] if path else []

    def close(self) -> None:
        """End everything."""
        self.session.close()
        self._editor.close()

    async def _review(self, uri: str | None, wish: Wish) -> None:
        """Have everything reviewed, or the repository of an address."""
        await self.session.ready()
        self.session.threads.refresh()
        path = self.session.workspace.path_of(uri) if uri else None
        if uri and path is None:
            raise BadArgument("uri: names no file of this machine")
        if path is not None:
            found = [await self.session.adopt(folder_of(path), wish)]
        else:
            found = [*self.session.reviewers.values()]
            for reviewer in self.session.reviewers.values():
                reviewer.wish(wish)
        if not any(found):
            self._desk.say(Tone.INFO, self._desk.texts.no_repository)

    def _clear(self, uri: str | None) -> None:
        board = self._desk.board
        roots = [reviewer.repository for reviewer in self.session.reviewers_of(uri)]
        board.clear(p for p in board.paths if any(self.session.is_of(p, root) for root in roots))

    async def _about_finding(self, name: str, argument: Argument) -> object:
        uri, mark = _needed("uri", argument.uri), _needed("fingerprint", argument.fingerprint)
        remarks, result = self._remarks, None
        match name:
            case "tenken.dismiss":
                remarks.dismiss(uri, mark)
            case "tenken.wontFix":
                remarks.wont_fix(uri, mark, argument.reason)
            case "tenken.wrong":
                await remarks.wrong(uri, mark, _reason(argument.reason), argument.comment)
            case "tenken.applied":
                remarks.applied(uri, mark)
            case "tenken.explain":
                result = await remarks.explain(uri, mark)
                if result is not None and not self._editor.takes_results:
                    await self._editor.show(str(result["title"]), str(result["markdown"]))
            case "tenken.copyPrompt":
                result = remarks.prompt(uri, mark)
                if result is not None and not self._editor.takes_results:
                    await self._editor.show(self._desk.texts.prompt_title, str(result["text"]))
            case _:
                result = await remarks.open_thread_about(uri, mark)
        return result

    async def _status(self) -> dict[str, object]:
        status, texts = self.session.status(), self._desk.texts
        lines = status.lines(texts)
        if not self._editor.takes_results:
            self._desk.say(Tone.INFO, " ".join(lines))
        rows = "\n".join(f"- {line}" for line in lines)
        return {**status.fields(texts), "markdown": f"# {texts.status_title}\n\n{rows}\n"}


def _argument(arguments: Sequence[object]) -> Argument:
    if len(arguments) > 1:
        raise BadArgument("one object is expected as the only argument")
    try:
        return Argument.model_validate(arguments[0] if arguments and arguments[0] is not None else {})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise BadArgument(f"{'.'.join(map(str, first['loc'])) or 'argument'}: {first['msg']}") from error


def _needed(name: str, value: str | None) -> str:
    if not value:
        raise BadArgument(f"{name}: is needed")
    return value


def _reason(text: str) -> WrongReason | None:
    try:
        return WrongReason(text) if text else None
    except ValueError as error:
        raise BadArgument(f"reason: one of {', '.join(WrongReason)} is expected") from error


def _covers(kind: str) -> bool:
    quick_fix = types.CodeActionKind.QuickFix.value
    return kind == "" or quick_fix == kind or quick_fix.startswith(f"{kind}.")
