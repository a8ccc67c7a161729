"""Folders of every kind: several, nested, linked, worktrees, subfolders, and none that git knows."""

from __future__ import annotations

import asyncio
from pathlib import Path

from editors import editing
from git_repository import Repository
from serving import Served

EVAL = "z = eval(x)\n"


def made(root: Path, **files: str) -> Repository:
    """Return a repository with a commit."""
    repository = Repository(root)
    repository.git("init", "-q", "-b", "main")
    repository.commit(**files)
    return repository


def test_several_folders(tmp_path: Path, engine: Served) -> None:
    """Each repository is reviewed by itself; one that is closed shows nothing, until it is opened again."""
    first, second = made(tmp_path / "first", a="x = 1\n"), made(tmp_path / "second", a="x = 1\n")
    first.write(a=EVAL)
    second.write(a=f"x = 1\n{EVAL}")
    in_first, in_second = ((repo.root / "a.py").as_uri() for repo in (first, second))
    folder = {"uri": first.root.as_uri(), "name": "first"}

    async def run() -> None:
        settings = {"engineUrl": engine.url}
        async with editing(first.root, settings, folders=[first.root, second.root], home=tmp_path) as editor:
            await editor.until_state("idle")
            await editor.command("review")
            await editor.until_lines(in_first, 1)
            await editor.until_lines(in_second, 2)
            await editor.until_state("idle")  # what is shown again is kept when the reviews end
            change = {"event": {"added": [], "removed": [folder]}}
            editor.notify("workspace/didChangeWorkspaceFolders", change)
            await editor.until_lines(in_first)
            assert editor.lines(in_second) == [2]
            change = {"event": {"added": [folder], "removed": []}}
            editor.notify("workspace/didChangeWorkspaceFolders", change)
            await editor.until_lines(in_first, 1)

    asyncio.run(run())


def test_a_repository_inside_another(tmp_path: Path, engine: Served) -> None:
    """A submodule's files are its own: reviewed against its own commits, not by the repository around it."""
    outer = made(tmp_path / "outer", a="x = 1\n")
    library = made(tmp_path / "library", b="x = 1\n")
    outer.git("submodule", "add", "-q", str(library.root), "library")
    outer.git("commit", "-qm", "submodule")
    inside = outer.root / "library" / "b.py"
    inside.write_text(f"x = 1\n{EVAL}")
    outer.write(a=EVAL)

    async def run() -> None:
        async with editing(outer.root, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = editor.open(inside)
            editor.save(uri)
            await editor.until_lines(uri, 2)
            assert (outer.root / "a.py").as_uri() not in editor.diagnostics
            await editor.command("review", uri=outer.root.as_uri())
            await editor.until_lines((outer.root / "a.py").as_uri(), 1)
            assert editor.lines(uri) == [2]

    asyncio.run(run())


def test_a_folder_by_another_name(tmp_path: Path, engine: Served) -> None:
    """A folder that is opened through a link is shown under the link's name, in a worktree too."""
    repository = made(tmp_path / "real", a="x = 1\n")
    repository.git("worktree", "add", "-q", "-b", "topic", str(tmp_path / "tree"))
    (tmp_path / "tree" / "a.py").write_text(EVAL)
    (tmp_path / "tree" / "b.py").write_text(EVAL)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "tree")

    async def run() -> None:
        async with editing(link, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = editor.open(link / "a.py")
            editor.save(uri)
            await editor.until_lines(uri, 1)
            await editor.until_lines((link / "b.py").as_uri(), 1)
            assert not [shown for shown in editor.diagnostics if "/tree/" in shown]
            assert await editor.hover(uri, 1)

    asyncio.run(run())


def test_a_part_of_a_repository(tmp_path: Path, engine: Served) -> None:
    """Where a subfolder is open, the rest of its repository is nobody's business."""
    repository = made(tmp_path / "whole", a="x = 1\n")
    (repository.root / "part").mkdir()
    (repository.root / "part" / "b.py").write_text(EVAL)
    repository.write(a=EVAL)

    async def run() -> None:
        async with editing(repository.root / "part", {"engineUrl": engine.url}, home=tmp_path) as editor:
            await editor.command("review")
            await editor.until_lines((repository.root / "part" / "b.py").as_uri(), 1)
            assert (repository.root / "a.py").as_uri() not in editor.diagnostics

    asyncio.run(run())


def test_no_repository(tmp_path: Path, engine: Served) -> None:
    """Outside git nothing is reviewed, and the state says why; a file without a folder is reviewed."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.py").write_text(EVAL)
    repository = made(tmp_path / "repository", a="x = 1\n")
    repository.write(a=EVAL)

    async def run() -> None:
        async with editing(tmp_path / "plain", {"engineUrl": engine.url}, home=tmp_path) as editor:
            plain = editor.open(tmp_path / "plain" / "a.py")
            editor.save(plain)
            assert (await editor.until_state("excluded"))["health"] == "ok"
            await editor.command("review", uri=plain)
            await editor.until(lambda: "no git repository" in "".join(editor.messages()))
            editor.notify(
                "textDocument/didOpen",
                {"textDocument": {"uri": "untitled:1", "languageId": "", "version": 1, "text": EVAL}},
            )
            editor.edit("untitled:1", 2, "y = 1\n")
            editor.close("untitled:1")
            assert plain not in editor.diagnostics
        async with editing(None, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = editor.open(repository.root / "a.py")
            editor.save(uri)
            await editor.until_lines(uri, 1)

    asyncio.run(run())


def test_files_that_are_too_many_or_too_big(tmp_path: Path, engine: Served) -> None:
    """One review takes what fits and the next the rest; what never fits is counted, the server lives."""
    repository = made(tmp_path / "repository", a="x = 1\n")
    for number in range(5):
        (repository.root / f"new{number}.py").write_text(EVAL)
    (repository.root / "big.py").write_text("y = 1\n" * 40_000)
    (repository.root / "huge.bin").write_bytes(bytes(2**24))

    async def run() -> None:
        settings = {"engineUrl": engine.url, "maxFiles": 2, "maxDiffKib": 100}
        async with editing(repository.root, settings, home=tmp_path) as editor:
            await editor.command("review")
            for number in range(5):
                await editor.until_lines((repository.root / f"new{number}.py").as_uri(), 1)
            await editor.until_state("idle")
            shown = await editor.command("showStatus")
            assert "1 file left out (maxFiles, maxDiffKib)" in shown["markdown"]

    asyncio.run(run())
