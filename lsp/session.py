"""One editor's session: what the editor tells goes to whom it concerns.

Runs on the event loop. What blocks is handed to threads; an editor's request is answered from what is known.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from engine.errors import ConfigError
from engine.settings import EngineSettings
from engine.settings import load_settings as load_engine_settings
from lsp.background import Tasks, in_thread
from lsp.client import Tone
from lsp.desk import Desk
from lsp.documents import Document, Position
from lsp.overview import overview
from lsp.places import Repository, read_lines
from lsp.reviewer import Reviewer, Wish
from lsp.settings import load_settings
from lsp.status import Status
from lsp.telling import Teller
from lsp.thread_watch import ThreadWatches
from lsp.workspace import folder_of

_LOOK_SECONDS = 2.0

Change = tuple[tuple[Position, Position] | None, str]
"""A text between two positions, or in the place of everything."""


class Session:
    """What an editor and its repositories have to do with each other."""

    def __init__(self, desk: Desk, environ: Mapping[str, str] = os.environ) -> None:
        self.desk = desk
        self.workspace = desk.workspace
        self.reviewers: dict[Path, Reviewer] = {}
        self.tasks = Tasks()
        self.teller = Teller(desk.care)
        self.threads = ThreadWatches(desk, self.is_of)
        self._environ = environ
        self._problems: tuple[str, ...] = ()
        self._settled = asyncio.Event()  # settings are known
        self._ready = asyncio.Event()  # and what is open was looked at
        self._shown: dict[str, object] = {}
        self._undone: dict[Path, Wish] = {}  # what settings that changed meanwhile must not undo
        self._stirred = False  # somebody worked since the last look around
        desk.changed = self.changed
        self.tasks.start(self._look_around(), "looking around")

    def configure(self, given: object) -> None:
        """Take settings, the first time or anew."""
        problems: list[str] = []
        engine: EngineSettings | None = None
        try:
            engine = load_engine_settings()
        except ConfigError as error:
            problems.append(str(error))
        loaded = load_settings(given, self._environ, engine)
        if not self._settled.is_set() or loaded.settings != self.desk.settings:
            self.desk.configure(loaded.settings)
            self._begin()
        self._problems = (*problems, *loaded.problems)
        if self._problems:
            problem = self.desk.texts.settings_problem.format(problem="; ".join(self._problems))
            self.desk.say_once(Tone.ERROR, problem)
        self.changed()

    def opened(self, uri: str, version: int, text: str) -> None:
        """A document was opened."""
        if (known := self.workspace.open(uri, version, text)) is None:
            self.desk.clear(self.workspace.too_big)
        else:
            document, path = known
            self.desk.follow(path, document)
            self._stirred = True
            self.tasks.start(self.adopt(path), "open")

    def edited(self, uri: str, version: int, changes: Iterable[Change]) -> None:
        """A document was edited."""
        if (known := self.workspace.document(uri)) is not None:
            for between, text in changes:
                if between is None:
                    known[0].swap(text)
                else:
                    known[0].change(*between, text)
            known[0].version = version
            self._stirred = True

    def closed(self, uri: str) -> None:
        """A document was closed: its file is what counts now."""
        if (known := self.workspace.close(uri)) is not None:
            self.tasks.start(self._back_to_disk(*known), "close")

    def saved(self, uri: str) -> None:
        """A document was saved."""
        if (path := self.workspace.path_of(uri)) is not None:
            wish = Wish(first=path, ask_engine=self.desk.settings.on_save)
            self.tasks.start(self.adopt(path, wish), "save")
            self.threads.place(path)
            self._stirred = True

    def folders_changed(self, added: Iterable[str], removed: Iterable[str]) -> None:
        """Folders were opened or closed."""
        gone = set(removed)
        self.workspace.folders = [f for f in self.workspace.folders if f not in gone] + list(added)
        for root, reviewer in tuple(self.reviewers.items()):
            if not self.workspace.has(reviewer.repository):
                self.reviewers.pop(root).close()
                self.threads.drop([root])
                self.desk.board.clear(p for p in self.desk.board.paths if p.is_relative_to(root))
        self.tasks.start(self._adopt_folders(), "folders")

    async def adopt(self, path: Path, wish: Wish | None = None) -> Reviewer | None:
        """Return the reviewer of a file or folder, made if there is none; None where nothing is reviewed."""
        await self._settled.wait()
        if not self.desk.settings.enabled:
            return None
        repository = await self.workspace.repository_around(folder_of(path))
        if repository is None:
            return None
        reviewer = self.reviewers.get(repository.root)
        if reviewer is None:
            reviewer = self.reviewers[repository.root] = Reviewer(self.desk, repository, self.is_of)
            reviewer.wish(self._undone.pop(repository.root, Wish(ask_engine=False)))
            self.threads.add(repository)
        if wish is not None:
            reviewer.wish(wish)
        self.changed()
        return reviewer

    async def ready(self) -> None:
        """Wait until settings are known and what is open was looked at."""
        await self._ready.wait()

    def is_of(self, path: Path, repository: Repository) -> bool:
        """Tell whether a file is this repository's, and not one's inside it."""
        roots = [root for root in self.reviewers if path.is_relative_to(root)]
        return max(roots, key=lambda root: len(root.parts), default=None) == repository.root

    def reviewers_of(self, uri: str | None) -> list[Reviewer]:
        """Return the reviewer of an address, or all where there is none."""
        if uri is None:
            return list(self.reviewers.values())
        path = self.workspace.path_of(uri)
        return [r for r in self.reviewers.values() if path is not None and self.is_of(path, r.repository)]

    def status(self) -> Status:
        """Return what is being done."""
        return overview(
            self.desk,
            tuple(self.reviewers.values()),
            problems=self._problems,
            thread_problems=self.threads.problems,
            ready=self._ready.is_set(),
        )

    def changed(self) -> None:
        """Tell the status if it is another one."""
        fields = self.status().fields(self.desk.texts)
        seconds = fields["retryIn"]
        same = fields | {"retryIn": seconds is not None}
        if same != self._shown:
            self._shown = same
            self.desk.client.status(fields)

    async def tell(self) -> None:
        """Tell the engine what was said of findings."""
        await self.teller.tell(self.desk.verdicts.values())
        self.changed()

    def close(self) -> None:
        """End everything."""
        self.tasks.cancel()
        for reviewer in self.reviewers.values():
            reviewer.close()
        self.threads.drop()
        self.desk.care.close()

    def _begin(self) -> None:
        """Begin anew with other settings."""
        self._settled.set()
        self._ready.clear()
        for root, reviewer in self.reviewers.items():
            if (undone := reviewer.undone) is not None:
                self._undone[root] = replace(undone, compared=None)
            reviewer.close()
        self.reviewers.clear()
        self.threads.drop()
        if not self.desk.settings.enabled:
            self.desk.board.clear(self.desk.board.paths)
        self.tasks.start(self._adopt_folders(), "folders")
        self.tasks.start(in_thread(self.desk.cache.prune), "pruning")

    async def _adopt_folders(self) -> None:
        for path in (*self.workspace.folder_paths(), *self.workspace.open_paths()):
            await self.adopt(path)
        self._ready.set()
        self.changed()

    async def _back_to_disk(self, document: Document, path: Path) -> None:
        """Show of a closed document what stands in its file."""
        lines = await in_thread(partial(read_lines, path))
        if self.workspace.at(path) is None:
            document.swap("".join(lines or ()))
            document.followers.clear()
            self.desk.refresh(path)
            await self.adopt(path, Wish(ask_engine=False))

    async def _look_around(self) -> None:
        """Notice what happens outside the editor, and try again what failed when it is time."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            due = self.desk.care.is_due
            self.threads.look(self._stirred)
            self._stirred = False
            for reviewer in tuple(self.reviewers.values()):
                reviewer.look()
                if due and reviewer.unknown:
                    reviewer.wish(Wish())
            waits = any(said.count() for said in self.desk.verdicts.values())
            if waits and self.desk.care.may_ask():
                self.tasks.start(self.tell(), "telling")
            if due and not waits and not any(reviewer.unknown for reviewer in self.reviewers.values()):
                self.desk.care.lifted()
            self.changed()
