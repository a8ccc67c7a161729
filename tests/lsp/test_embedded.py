"""The embedded engine: a process of its own that reviews, answers, dies and comes back."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from editors import SECONDS, editing
from serving import diff_of

from engine.errors import InputError
from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.findings import Finding
from engine.review import Progress
from engine.runners import Cancellation
from engine.wire import Question, ReviewRequest
from lsp.embedded import EmbeddedEngine
from lsp.errors import EmbeddedFailed

SCRIPT = str(Path(__file__).with_name("lsp_with_fake_model.py"))
REQUEST = ReviewRequest(diff=diff_of())


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedEngine]:
    """An embedded engine with a fake model and a store of its own."""
    monkeypatch.setenv("ENGINE_DATA_DIR", str(tmp_path / "engine"))
    engine = EmbeddedEngine((sys.executable, SCRIPT, "worker"))
    yield engine
    engine.close()


def test_review_ask_and_feedback(embedded: EmbeddedEngine) -> None:
    """What is found arrives as it is found; a dismissal holds at the next review; one process does it all."""
    findings: list[Finding] = []
    progress: list[Progress] = []
    assert embedded.loading
    review = embedded.review(REQUEST, on_finding=findings.append, on_progress=progress.append)
    assert not embedded.loading
    assert list(review.findings) == findings
    assert [finding.line for finding in findings] == [2]
    assert progress[-1].files_done <= progress[-1].files == 1
    answer = embedded.ask(Question(question="Why?", code="y = eval(x)"))
    assert answer is not None
    assert answer.text == "Because."
    said = Feedback(
        fingerprint=findings[0].fingerprint,
        verdict=FeedbackVerdict.DISMISSED,
        project="default",
        source=FeedbackSource.EDITOR,
    )
    embedded.record(said)
    assert embedded.review(REQUEST).findings == ()


def test_errors_are_those_of_the_engine(embedded: EmbeddedEngine) -> None:
    """What cannot be reviewed is an InputError, and the process lives; one that dies is begun again."""
    with pytest.raises(InputError):
        embedded.review(ReviewRequest(diff="no diff"))
    with pytest.raises(EmbeddedFailed, match="ended"):
        embedded.review(ReviewRequest(diff=diff_of("a.py", "die = eval(x)")))
    assert len(embedded.review(REQUEST).findings) == 1
    with pytest.raises(EmbeddedFailed, match="start"):
        EmbeddedEngine(("/nowhere/python",)).review(REQUEST)


def test_who_waits_can_leave(embedded: EmbeddedEngine) -> None:
    """A cancelled request that waits for its turn does not wait for it."""
    begun, free = threading.Event(), threading.Event()

    def hold(finding: Finding) -> None:
        begun.set()
        free.wait(SECONDS)

    first = threading.Thread(target=lambda: embedded.review(REQUEST, on_finding=hold))
    first.start()
    assert begun.wait(SECONDS)
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(EmbeddedFailed):
        embedded.review(REQUEST, cancellation=cancellation)
    free.set()
    first.join(SECONDS)
    assert not first.is_alive()
    embedded.close()
    with pytest.raises(EmbeddedFailed, match="closed"):
        embedded.review(REQUEST)


def test_without_an_engine_elsewhere(app: Path, tmp_path: Path) -> None:
    """The server starts the embedded engine by itself, and it ends with the server."""

    async def run() -> None:
        async with editing(app.parent, home=tmp_path, command=(SCRIPT,)) as editor:
            uri = editor.open(app)
            text = "x = 1\nz = eval(x)\n"
            editor.edit(uri, 2, text)
            editor.save(uri, text)
            await editor.until_lines(uri, 2)
            assert (await editor.until_state("idle"))["engine"] == "embedded"
            mark = editor.diagnostics[uri]["diagnostics"][0]["data"]["fingerprint"]
            await editor.command("explain", uri=uri, fingerprint=mark)
            text = "x = 1\nz = eval(x)\ndie = eval(x)\n"
            editor.edit(uri, 3, text)
            editor.save(uri, text)
            await editor.until_state("unreachable")
            assert editor.lines(uri) == [2]
            text = "x = 1\nz = eval(x)\nlive = eval(x)\n"
            editor.edit(uri, 4, text)
            editor.save(uri, text)
            await editor.command("review")
            await editor.until_lines(uri, 2, 3)
            (engine,) = await asyncio.to_thread(_engines, editor.process.pid)
            assert await editor.end() == 0
            async with asyncio.timeout(SECONDS):  # else the embedded engine outlived its server
                while await asyncio.to_thread(Path(f"/proc/{engine}").exists):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    if not Path("/proc/self").exists():
        pytest.skip("processes are looked at in /proc")
    asyncio.run(run())


def _engines(pid: int) -> set[str]:
    """Return the processes of a server's engines; git, which it runs too, comes and goes."""
    found = set[str]()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that ended meanwhile
            found |= set((task / "children").read_text().split())
    return {child for child in found if _is_engine(child)}


def _is_engine(pid: str) -> bool:
    with suppress(OSError):
        return b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


@pytest.mark.model
def test_the_real_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma 3 270M with the starter adapter finds what it was trained to find, in its own process."""
    monkeypatch.setenv("ENGINE_DATA_DIR", str(tmp_path))
    rows = ("def add_item(item, items=[]):", "    items.append(item)", "    return items")
    engine = EmbeddedEngine()
    try:
        review = engine.review(ReviewRequest(diff=diff_of("a.py", *rows)))
        assert [finding.line for finding in review.findings] == [1]
        assert review.adapter.startswith("starter-")
    finally:
        engine.close()
