"""What all parts of a session share: settings, board, engine, verdicts, and a voice. Holds no documents."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial
from pathlib import Path

from engine.findings import Finding
from engine.projects import project_of
from engine.wire import Language
from lsp.background import in_thread
from lsp.board import Board
from lsp.care import EngineCare, OpenEngine
from lsp.changes import Compared
from lsp.client import Client, Progress, Tone
from lsp.documents import Document
from lsp.engines import open_engine
from lsp.findings_cache import FindingsCache
from lsp.gitlab import GitLab
from lsp.lines import Encoding
from lsp.outages import State, state_of
from lsp.places import Repository, read_lines
from lsp.placing import Placed, Standing
from lsp.planning import Order, Plan, PlannedFile, make_plan
from lsp.publishing import Publisher
from lsp.settings import LspSettings, Scope
from lsp.snapshots import Carry, Snapshot, place_all
from lsp.texts import TEXTS, Texts
from lsp.thread_board import ThreadBoard
from lsp.verdicts import Verdicts
from lsp.workspace import Workspace

PlanWith = Callable[[Order, Mapping[str, str], FindingsCache], Plan]
"""Reads what changed."""


class Desk:
    """The shared parts of one session. On the loop alone, but for `order`, which blocks."""

    def __init__(
        self,
        client: Client,
        workspace: Workspace,
        encoding: Encoding,
        *,
        language: Language = Language.EN,
        pulls: bool = False,
        environ: Mapping[str, str] = os.environ,
        open_with: OpenEngine = open_engine,
        plan_with: PlanWith = make_plan,
    ) -> None:
        self.client = client
        self.workspace = workspace
        self.plan_with = plan_with
        self.settings = LspSettings()
        self.cache = FindingsCache(self.settings.caches(environ))
        self.verdicts: dict[Path, Verdicts] = {}
        self.care = EngineCare(open_with, self._complain)
        self.gitlab = GitLab(self.settings)
        self.changed: Callable[[], None] = lambda: None
        self.adapter = ""
        self._environ = environ
        self._encoding = encoding
        self._editor_language = language
        self._adapters: dict[Path, str] = {}
        self._said: set[str] = set()
        self._publisher = Publisher(client, workspace.at, workspace.uri_of, self._hidden, pulls)

    @property
    def board(self) -> Board:
        """What is shown."""
        return self._publisher.board

    @property
    def threads(self) -> ThreadBoard:
        """The merge request's threads that are shown."""
        return self._publisher.threads

    def shown(self, path: Path) -> list[Standing]:
        """Return all that is shown of a file."""
        return self._publisher.shown(path)

    @property
    def encoding(self) -> Encoding:
        """The client's units of columns."""
        return self._encoding

    @property
    def language(self) -> Language:
        """The user's language."""
        return self.settings.language or self._editor_language

    @property
    def texts(self) -> Texts:
        """All texts in the user's language."""
        return TEXTS[self.language]

    def verdicts_of(self, path: Path) -> Verdicts | None:
        """Return what was said in the project that a file is of."""
        roots = [root for root in self.verdicts if path.is_relative_to(root)]
        return self.verdicts[max(roots, key=lambda root: len(root.parts))] if roots else None

    async def recall(self, order: Order) -> bool:
        """Read what was said in a project, also by editors beside this one; return whether it is news."""
        root, folder = order.repository.root, self.settings.data(self._environ)
        said = self.verdicts.get(root)
        if said is None or said.project != order.project:
            self.verdicts[root] = await in_thread(partial(Verdicts, folder, order.project))
            return True
        stamp = said.stamp
        return said.take(await in_thread(said.read), stamp)

    def configure(self, settings: LspSettings) -> None:
        """Take settings: what was said of the old ones may have to be said again."""
        self.settings = settings
        self.cache = FindingsCache(settings.caches(self._environ))
        self.care.configure(settings)
        self.gitlab = GitLab(settings)
        self._said.clear()

    @property
    def compared(self) -> Compared:
        """What settings compare."""
        return Compared(self.settings.scope, self.settings.base_branch, self.settings.untracked)

    def order(self, repository: Repository, compared: Compared) -> Order:
        """Return how a repository is reviewed. Blocks."""
        settings = self.settings
        project = settings.project or project_of(repository.root) or ""
        return Order(
            repository,
            settings,
            compared,
            project,
            self._editor_language,
            settings.engine_url or "embedded",
            self._adapters.get(repository.root, ""),
            self.workspace.below(repository),
        )

    def placed(
        self, order: Order, file: PlannedFile, known: Iterable[Finding], adapter: str, snapshot: Snapshot
    ) -> list[Placed]:
        """Return those findings that still stand in the file as it is now."""
        if file.path in self.workspace.too_big:
            return []
        change, document = file.change, self.workspace.at(file.path)
        now, moved = None, None
        if document is not None:
            now = document.lines
            moved = snapshot.moved(change.path, change.text, document)
        elif change.path in snapshot.buffers or order.compared.scope is Scope.STAGED:
            now = read_lines(file.path)  # what was reviewed is not what the file says
        return place_all(known, change.text, now, moved, adapter, self._encoding)

    def succeeded(self, repository: Repository, adapter: str) -> bool:
        """Take down that the engine reviewed; return whether it did not before."""
        self._adapters[repository.root] = self.adapter = adapter
        return self.care.succeeded()

    def timed_out_text(self) -> str:
        """Return what is said of a review that took too long."""
        return self.texts.timed_out.format(seconds=round(self.settings.timeout_seconds))

    def progress(self, cancelled: Callable[[], None]) -> Progress:
        """Show that a review begins."""
        return self.client.progress(self.texts.progress_title, cancelled)

    def follow(self, path: Path, document: Document) -> None:
        """Have what is shown of a file follow its document from now on."""
        document.followers += [partial(self.board.edit, path), partial(self.threads.edit, path)]
        if path in self.board.paths or path in self.threads.paths:
            carry = Carry(read_lines(path), document.lines)
            self.board.keep(path, carry)
            self.threads.keep(path, carry)
            self.refresh(path)

    def refresh(self, path: Path) -> None:
        """Publish a file again: what is hidden of it changed, or its address."""
        self.board.refresh(path)
        self.threads.refresh(path)

    def clear(self, paths: Iterable[Path]) -> None:
        """Take off whatever is shown of these files."""
        found = tuple(paths)
        self.board.clear(found)
        self.threads.clear(found)

    def say(self, tone: Tone, text: str) -> None:
        """Show a message."""
        self.client.message(tone, text)

    def say_once(self, tone: Tone, text: str) -> None:
        """Show a message, once until settings change."""
        if text not in self._said:
            self._said.add(text)
            self.client.message(tone, text)

    def describe(self, error: Exception) -> str:
        """Return an error in the user's language, with the words it came with."""
        texts = self.texts
        return texts.state_reason.format(state=texts.state[state_of(error)], reason=str(error))

    def publish(self) -> None:
        """Publish what changed, without waiting for more."""
        self._publisher.flush()

    def _hidden(self, path: Path) -> Container[str]:
        said = self.verdicts_of(path)
        return said.hidden if said is not None else ()

    def _complain(self, state: State, reason: str) -> None:
        texts = self.texts
        text = texts.state[state]
        if state is not State.NO_ENGINE:
            text = texts.state_reason.format(state=text, reason=reason)
        self.client.message(Tone.WARNING if state is State.UNREACHABLE else Tone.ERROR, text)
