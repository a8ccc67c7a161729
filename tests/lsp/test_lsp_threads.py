"""Threads of the branch's merge request: which are open, where they stand, which is about a finding."""

from __future__ import annotations

import asyncio
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked
from merge_requests import Branch, branch
from pydantic import SecretStr

from bot.fake_gitlab import FaultKind
from engine.errors import AccessRefused, ConfigError, QueueFull, Unreachable
from lsp.errors import UnknownProject
from lsp.gitlab import GitLab, own_token
from lsp.settings import LspSettings
from lsp.thread_watch import Pace
from lsp.threads import Thread, branch_of, find_thread, open_threads, place_threads

MARK = "0123456789abcdef"
BODY = f"Text.\n\n<!-- tenken:finding {MARK} head=abc -->"


def gitlab(at: Branch, token: str | None = None, url: str | None = None) -> GitLab:
    """Return the fake as the language server sees it."""
    return GitLab(
        LspSettings(gitlab_url=url or at.fake.url, gitlab_token=SecretStr(token or at.reader.token))
    )


def threads_of(root: Path, server: GitLab) -> tuple[Thread, ...]:
    """Return the open threads of what is checked out."""
    branch = branch_of(root)
    assert branch is not None
    return open_threads(branch, server)


def test_the_thread_about_a_finding(tmp_path: Path) -> None:
    """On whatever page, also a resolved one; by the first note alone, in which others cannot write."""

    async def main() -> None:
        async with branch(tmp_path) as at:
            root = at.repository.root
            pen = at.fake.as_person(at.mr.author, at.project, at.mr)
            for _ in range(110):
                pen.reply(at.discuss("Nothing.", None), BODY)
            assert await asyncio.to_thread(find_thread, root, MARK, gitlab(at)) is None
            thread = at.discuss(BODY, by=at.fake.bot)
            pen.resolve(thread, True)
            assert await asyncio.to_thread(find_thread, root, MARK, gitlab(at)) == at.url(thread)
            assert await asyncio.to_thread(find_thread, root, "f" * 16, gitlab(at)) is None
            at.repository.git("switch", "-qc", "other")
            assert await asyncio.to_thread(find_thread, root, MARK, gitlab(at)) is None
            at.repository.git("checkout", "-q", "--detach")
            assert await asyncio.to_thread(find_thread, root, MARK, gitlab(at)) is None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "body", "found"),
    [
        ("last line", BODY, True),
        ("without more", f"<!-- tenken:finding {MARK} -->", True),
        ("quoted above", f"{BODY}\nmore", False),
        ("another finding", BODY.replace("0", "1"), False),
        ("another note", BODY.replace("finding", "summary"), False),
    ],
)
def test_a_mark(name: str, body: str, found: bool, tmp_path: Path) -> None:
    """Only the bot's own last line counts."""

    async def main() -> None:
        async with branch(tmp_path) as at:
            at.discuss(body)
            (thread,) = await asyncio.to_thread(threads_of, at.repository.root, gitlab(at))
            assert (thread.fingerprint == MARK) is found

    asyncio.run(main())


def test_open_threads(tmp_path: Path) -> None:
    """Unresolved ones on lines of the new text, with what people said and not what GitLab hides."""

    async def main() -> None:
        async with branch(tmp_path) as at:
            root, pen = at.repository.root, at.fake.as_person(at.mr.author, at.project, at.mr)
            pen.resolve(at.discuss("Done."), True)
            at.discuss("About everything.", None)
            pen.note("No thread.")
            open_one = at.discuss("Why <!-- hidden -->eval?")
            pen.reply(open_one, "Because.")
            (thread,) = await asyncio.to_thread(threads_of, root, gitlab(at))
            assert (thread.path, thread.first, thread.last, thread.url) == (
                "app.py", 2, 2, at.url(open_one),
            )  # fmt: skip
            assert [said.text for said in thread.notes] == ["Why eval?", "Because."]
            assert [said.name for said in thread.notes] == [at.mr.author.name] * 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("as pushed", "x = 1\nz = eval(x)\ny = 2\n", 1),
        ("lines above", "a\nb\nx = 1\nz = eval(x)\ny = 2\n", 3),
        ("other line ends", "x = 1\r\nz = eval(x)\r\ny = 2\r\n", 1),
        ("changed", "x = 1\nz = eval(y)\ny = 2\n", None),
        ("gone", "x = 1\ny = 2\n", None),
    ],
)
def test_where_a_thread_stands(name: str, text: str, line: int | None, tmp_path: Path) -> None:
    """Where its line went since it was pushed, in the document or in the file; nowhere if that is gone."""

    async def main() -> None:
        async with branch(tmp_path) as at:
            at.discuss("Why?")
            root = at.repository.root
            threads = await asyncio.to_thread(threads_of, root, gitlab(at))
            at.app.write_bytes(text.encode())
            on_disk = place_threads(root, threads, {})
            at.app.unlink()
            assert place_threads(root, threads, {}) == []
            placed = place_threads(root, threads, {"app.py": text})
            assert placed == on_disk
            assert [p.first for p in placed] == ([] if line is None else [line])
            assert [p.code for p in placed] == ["z = eval(x)"] * len(placed)

    asyncio.run(main())


def test_a_thread_of_a_commit_that_is_not_here(tmp_path: Path) -> None:
    """It is not placed: nobody knows where its line is. Nor is one whose path leads elsewhere."""

    async def main() -> None:
        async with branch(tmp_path) as at:
            first, second, third = (at.discuss(text).notes[0] for text in ("One.", "Two.", "Three."))
            for note, changed in (
                (first, {"head_sha": "f" * 40}),
                (second, {"new_path": "../repository/app.py"}),
                (third, {"new_path": "app.py\nHEAD:app.py"}),
            ):
                note.position = {**(note.position or {}), **changed}
            threads = await asyncio.to_thread(threads_of, at.repository.root, gitlab(at))
            assert len(threads) == 3
            assert place_threads(at.repository.root, threads, {}) == []

    asyncio.run(main())


def test_a_gitlab_that_cannot_be_asked(tmp_path: Path) -> None:
    """Each reason is an error of its own, and none has the token in it."""

    async def main() -> None:
        async with branch(tmp_path) as at:
            root = at.repository.root

            async def fails(error: type[Exception], words: str, **how: str) -> None:
                with pytest.raises(error, match=words) as caught:
                    await asyncio.to_thread(threads_of, root, gitlab(at, **how))
                assert at.reader.token not in str(caught.value)

            await fails(AccessRefused, "gitlabToken", token="wrong")
            await fails(Unreachable, "cannot reach", url="http://127.0.0.1:9")
            await fails(ConfigError, "https://host:port", url="ftp://gitlab")
            at.fake.fail(FaultKind.BAD_GATEWAY)
            await fails(Unreachable, "502")
            at.fake.fail(FaultKind.LIMITED_TEXT, retry_after=90)
            with pytest.raises(QueueFull) as full:
                await asyncio.to_thread(threads_of, root, gitlab(at))
            assert full.value.retry_after == 90
            at.repository.git("remote", "set-url", "origin", "https://gitlab.example/group/none.git")
            await fails(UnknownProject, "group/none")

    asyncio.run(main())


class Keyring(KeyringBackend):
    """A keyring in memory; it may be locked."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, locked: bool = False) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = locked

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


def test_where_the_token_comes_from(tmp_path: Path) -> None:
    """Of the settings, else of the file they name, else of the keyring, by GitLab's address."""
    before, mine, url = keyring.get_keyring(), Keyring(), "https://gitlab.example"
    file = tmp_path / "token"
    file.write_text("of-file\n")
    try:
        keyring.set_keyring(mine)
        assert own_token(LspSettings(gitlab_url=url)) == ""
        keyring.set_password("tenken", url, "of-keyring")
        assert own_token(LspSettings(gitlab_url=url)) == "of-keyring"
        assert own_token(LspSettings(gitlab_url="https://other.example")) == ""
        assert own_token(LspSettings(gitlab_url=url, gitlab_token_file=file)) == "of-file"
        given = LspSettings(gitlab_url=url, gitlab_token_file=file, gitlab_token=SecretStr("given"))
        assert own_token(given) == "given"
        with pytest.raises(ConfigError, match="gitlabTokenFile"):
            own_token(LspSettings(gitlab_url=url, gitlab_token_file=tmp_path / "none"))
        mine.locked = True
        assert own_token(LspSettings(gitlab_url=url)) == ""
    finally:
        keyring.set_keyring(before)


def test_the_pace() -> None:
    """Every interval, later and later while it fails, and not by itself where only a person can help."""
    pace = Pace(300)
    assert pace.is_due(0)
    pace.succeeded(0)
    assert [pace.is_due(now) for now in (299, 300)] == [False, True]
    for failures, pause in ((1, 600), (2, 1200), (3, 2400), (4, 3600), (9, 3600)):
        while pace.failures < failures:
            pace.failed(Unreachable("x"), 0, jitter=0)
        assert [pace.is_due(now) for now in (pause - 1, pause)] == [False, True]
    pace.succeeded(0)
    pace.failed(QueueFull(5000), 0, jitter=1)
    assert [pace.is_due(now) for now in (6249, 6250)] == [False, True]
    for error in (AccessRefused("x"), ConfigError("x"), UnknownProject("x")):
        pace.failed(error, 0)
        assert not pace.is_due(1e9)
    pace.hurry()
    assert pace.is_due(0)
