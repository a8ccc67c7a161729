"""Whatever is edited, saved, stopped and answered, in any order: what is shown stands in the text.

The model is the whole text as one string. Every line with code is unique, so a line that is shown is the one
that was reviewed, or that a thread was written on.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from editors import SECONDS
from git_repository import Repository as GitRepository
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.config import ProjectConfig
from engine.sanitize import one_line
from engine.untracked import WorkFile, new_file_diff
from engine.wire import Language
from lsp.changes import FileChange
from lsp.desk import Desk
from lsp.diagnostics import thread_template
from lsp.findings_cache import FindingsCache, key_of
from lsp.lines import Encoding
from lsp.planning import Order, Plan, PlannedFile
from lsp.reviewer import Reviewer, Wish
from lsp.session import Change, Session
from lsp.testing import FakeClient, FakeEngine
from lsp.threads import PlacedThread, Said, Thread
from lsp.workspace import Workspace

NAME = "a.py"
PIECES = st.lists(st.sampled_from(["eval", "fine", "\n", "\n", "\r\n", "é😀 "]), max_size=5)
FIRST = ("fine", "eval", "eval", "fine", "eval", "fine")


def rows_of(text: str) -> list[str]:
    """Return the lines of a text by the protocol's rule."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


class Editing(RuleBasedStateMachine):
    """One document, its text as a string, and a real session; of git only the folder is real."""

    @initialize()
    def begin(self) -> None:
        """Open a document in a repository."""
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name).resolve()
        GitRepository(self.root).git("init", "-q")
        self.path = self.root / NAME
        self.text = self.saved = "".join(f"{word}{n}_\n" for n, word in enumerate(FIRST))
        self.path.write_text(self.text)
        self.uri = self.path.as_uri()
        self.numbers = itertools.count(len(FIRST))
        self.lost: set[str] = set()  # lines that were gone at some time
        self.texts: dict[int, str] = {}  # by version
        self.rows: set[str] = set()
        self.version = 0
        self.is_open = False
        self.loop = asyncio.new_event_loop()
        self.engine = FakeEngine()
        self.client = FakeClient()
        self.loop.run_until_complete(self._begin())
        self.open_document(dirty=False)
        self.ask()
        self.answer(8)

    async def _begin(self) -> None:
        workspace = Workspace(Encoding.UTF16, [self.root.as_uri()])
        environ = {"XDG_CACHE_HOME": str(self.root / "cache"), "XDG_DATA_HOME": str(self.root / "data")}
        self.desk = Desk(
            self.client,
            workspace,
            Encoding.UTF16,
            environ=environ,
            open_with=lambda settings: self.engine,
            plan_with=self._plan,
        )
        self.session = Session(self.desk, environ)
        self.session.configure({"debounceMs": 0, "project": "group/app", "timeoutSeconds": 3600})
        await self.session.ready()

    @property
    def reviewer(self) -> Reviewer:
        """The reviewer of the repository."""
        return self.session.reviewers[self.root]

    def _plan(self, order: Order, buffers: Mapping[str, str], cache: FindingsCache) -> Plan:
        """Take the whole document for added, or its file where it is closed."""
        text = buffers.get(NAME, self.saved)
        diff = new_file_diff(WorkFile(NAME, "100644", text.encode()))
        change = FileChange(NAME, diff, text)
        key = key_of(text)
        known = cache.get(key)
        file = PlannedFile(change, self.path, key, known, known is not None)
        return Plan(order, ProjectConfig(), Language.EN, (file,) if text else ())

    @rule(data=st.data(), pieces=PIECES)
    @precondition(lambda self: self.is_open)
    def edit(self, data: st.DataObject, pieces: list[str]) -> None:
        """Replace a range."""
        self.rest()
        rows = rows_of(self.text)
        before = self.standing()
        lines = st.integers(0, len(rows) - 1)
        # Not what is shown: that depends on how fast threads are, and what is drawn must not.
        evals = [number for number, row in enumerate(rows) if "eval" in row]
        near = st.sampled_from(evals) if evals else lines
        first, last = sorted((data.draw(st.one_of(lines, near)), data.draw(st.one_of(lines, near))))
        start, end = data.draw(st.integers(0, 12)), data.draw(st.integers(0, 12))
        if first == last:
            start, end = min(start, end), max(start, end)
        start, end = min(start, len(rows[first])), min(end, len(rows[last]))
        new = "".join(p if p.isspace() or p == "\r\n" else f"{p}{next(self.numbers)}_" for p in pieces)
        new = new.replace("\r\n", "\n")
        head = [*rows[:first], rows[first][:start]]
        tail = [rows[last][end:], *rows[last + 1 :]]
        columns = [
            len(rows[line][:index].encode("utf-16-le")) // 2 for line, index in ((first, start), (last, end))
        ]
        self.text = "\n".join(head) + new + "\n".join(tail)
        self._edited([(((first, columns[0]), (last, columns[1])), new)])
        outside = {row for row, line in before.items() if line < first or line > last}
        assert outside <= self.standing().keys() <= before.keys()

    @rule(data=st.data())
    @precondition(lambda self: self.is_open)
    def format(self, data: st.DataObject) -> None:
        """Replace the whole text by one with some of its lines, in their order, and others between."""
        self.rest()
        before = self.standing()
        count = Counter(rows_of(self.text))  # which of two equal lines is kept cannot be told
        rows = [r for r in rows_of(self.text) if r.strip() and count[r] == 1 and data.draw(st.booleans())]
        self.text = "".join(f"{row}\nfine{next(self.numbers)}\n" for row in rows)
        self._edited([(None, self.text)])
        assert self.standing().keys() == before.keys() & set(rows)

    @rule()
    @precondition(lambda self: self.is_open)
    def undo(self) -> None:
        """Go back to what was saved."""
        self.text = self.saved
        self._edited([(None, self.text)])

    @rule()
    @precondition(lambda self: self.is_open)
    def save(self) -> None:
        """Save, which asks for a review."""
        self.saved = self.text
        self.path.write_text(self.text, newline="")
        self.tell(self.session.saved, self.uri)
        self.settle()

    @rule()
    def ask(self) -> None:
        """Ask for a review of the text as it is, also unsaved."""
        self.reviewer.wish(Wish(by_person=True, force=True))
        self.run()

    @rule(count=st.integers(1, 8))
    def answer(self, count: int) -> None:
        """Let the engine go on: what it finds is shown where its line went, if that is still there."""
        self.rest()  # what is stopped meanwhile shows nothing
        before = len(self.engine.found)
        for _ in range(count):
            self.engine.permits.release()
        self.rest()
        while self.engine.permits.acquire(blocking=False):
            pass  # what was not needed now holds for nothing later
        found = {finding.code for finding in self.engine.found[before:]}
        assert (found & set(rows_of(self.text))) - self.lost <= self.standing(threads=False).keys()

    @rule()
    def stop(self) -> None:
        """Stop the review."""
        self.loop.run_until_complete(self.reviewer.stop())
        self.run()

    @rule(data=st.data())
    @precondition(lambda self: any(row.strip() for row in rows_of(self.text)))
    def discuss(self, data: st.DataObject) -> None:
        """Have a thread on a line, in the place of others."""
        rows = rows_of(self.text)
        line = data.draw(st.sampled_from([number for number, row in enumerate(rows) if row.strip()]))
        said = (Said("Somebody", rows[line]),)
        thread = Thread("0" * 40, "https://gitlab.example", NAME, 1, 1, "0" * 40, said)
        template = thread_template(thread, rows[line], Encoding.UTF16)
        placed = PlacedThread(thread, line, line, rows[line], template)
        self.tell(self.desk.threads.put, self.path, [placed])

    @rule()
    @precondition(lambda self: self.is_open)
    def close(self) -> None:
        """Close the document without saving it."""
        self.is_open = False
        self.text = self.saved
        self._note_text()
        self.tell(self.session.closed, self.uri)
        self.settle()

    @rule(dirty=st.booleans())
    @precondition(lambda self: not self.is_open)
    def open_document(self, dirty: bool) -> None:
        """Open the document as it was saved, or as an editor restores one that was not."""
        self.version += 1
        if dirty:
            self.text = f"fine{next(self.numbers)}\n{self.text}eval{next(self.numbers)}"
        self._note_text()
        self.tell(self.session.opened, self.uri, self.version, self.text)
        self.is_open = True
        self.settle()

    @invariant()
    def what_is_shown_stands(self) -> None:
        """Each range is a line of the text, and of the version it was sent for, and what was found there."""
        if not hasattr(self, "desk"):
            return
        self.desk.publish()
        version = self.client.shown.get(self.uri, {}).get("version")
        assert version is None or self.is_open or not self.shown()
        for text in (self.text, self.texts.get(version, self.text)):
            rows = rows_of(text)
            for item in self.shown():
                start, end = item["range"]["start"], item["range"]["end"]
                assert start["line"] == end["line"] < len(rows)
                row = rows[start["line"]]
                assert said(row, item)
                assert end["character"] == len(row.rstrip().encode("utf-16-le")) // 2

    def shown(self) -> list[dict[str, Any]]:
        """Return the diagnostics that the editor has."""
        found: list[dict[str, Any]] = self.client.shown.get(self.uri, {}).get("diagnostics", [])
        return found

    def standing(self, *, threads: bool = True) -> dict[str, int]:
        """Return the lines with a finding, and with a thread, and where they are."""
        self.desk.publish()
        rows = rows_of(self.text)
        lines = [i["range"]["start"]["line"] for i in self.shown() if threads or i["code"] != "thread"]
        return {rows[line]: line for line in lines}

    def tell(self, act: Callable[..., None], *what: object) -> None:
        """Do something on the loop, as the protocol does."""

        async def run() -> None:
            act(*what)

        self.loop.run_until_complete(run())

    def run(self) -> None:
        """Let everything that can happen now happen."""
        self.loop.run_until_complete(asyncio.sleep(0.004))

    def rest(self) -> None:
        """Let everything happen that needs no permit of the engine's."""

        async def rested() -> None:
            # What the engine told before it began to wait, or before it ended, is on the loop by now.
            while not self._is_at_rest():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)

        self.loop.run_until_complete(asyncio.wait_for(rested(), SECONDS))

    def _is_at_rest(self) -> bool:
        reviewer = self.session.reviewers.get(self.root)
        if reviewer is None or reviewer._wish is not None or reviewer._doing is not None:
            return False
        return reviewer.run is None or self.engine.waits

    def settle(self) -> None:
        """Let what was told to the session be done."""

        async def done() -> None:
            while any(task.get_name() != "looking around" for task in self.session.tasks._tasks):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(asyncio.wait_for(done(), SECONDS))
        self.run()

    def _note_text(self) -> None:
        """Keep the text of this version, and which lines of the one before are gone."""
        self.texts[self.version] = self.text
        rows = set(rows_of(self.text))
        self.lost |= self.rows - rows
        self.rows = rows

    def _edited(self, changes: list[Change]) -> None:
        self.version += 1
        self._note_text()
        self.tell(self.session.edited, self.uri, self.version, changes)
        known = self.desk.workspace.document(self.uri)
        assert known is not None
        assert known[0].text == self.text

    def teardown(self) -> None:
        """In the end, when all was saved and answered, every eval of the text is shown and nothing else."""
        if not hasattr(self, "desk"):
            return
        try:
            for _ in range(10_000):
                self.engine.permits.release()
            if not self.is_open:
                self.open_document(dirty=False)
            self.save()
            self.loop.run_until_complete(asyncio.wait_for(self._idle(), SECONDS))
            self.rest()
            assert set(self.standing(threads=False)) == self._evals()
            assert all(work.said for work in self.client.works)
            assert self.client.messages == [m for m in self.client.messages if "nothing" in m]
        finally:
            self.session.close()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()
            self.folder.cleanup()

    async def _idle(self) -> None:
        while self.reviewer.run is not None or set(self.standing(threads=False)) != self._evals():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def _evals(self) -> set[str]:
        return {row for row in rows_of(self.text) if "eval" in row}


def said(row: str, item: Mapping[str, Any]) -> bool:
    """Tell whether a diagnostic is about this row."""
    if item["code"] == "thread":
        return bool(item["message"] == f"Somebody: {one_line(row)}")
    return bool(item["message"] == row)


TestEditing = Editing.TestCase
TestEditing.settings = settings(max_examples=40, stateful_step_count=25)
