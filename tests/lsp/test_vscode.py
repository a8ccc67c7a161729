"""The extension in a real VS Code, in front of the real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from git_repository import Repository
from hearing import heard
from real_model import ORDERS, embedded_engine, held, process_of, until_asked
from real_model import SECONDS as MODEL_SECONDS
from serving import finding_evals, serving
from workbench import (
    SECONDS,
    CodeServer,
    Workbench,
    code_server,
    find,
    install_server,
    window,
)

from engine.api import feedback
from engine.runners import WriteRequest
from engine.store.opening import Store
from engine.testing import is_question

EXTENSION = Path(__file__).parents[2] / "lsp" / "editors" / "vscode"
SCREENSHOT = EXTENSION / "images" / "findings.png"
INSTALLED = find()
EVALS = "x = 1\ny = eval(x)\nz = 2\nw = eval(z)\n"

pytestmark = pytest.mark.skipif(INSTALLED is None, reason="no VS Code: tests/vscode.sh installs one")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeServer]:
    """A code-server with the extension."""
    assert INSTALLED is not None
    with code_server(*INSTALLED, tmp_path_factory.mktemp("code-server")) as started:
        yield started


def test_its_own_tests() -> None:
    """What needs no editor is tested without one, by Node's own test runner."""
    subprocess.run(["npm", "test", "--silent"], cwd=EXTENSION, check=True, timeout=300)


def test_a_review_is_stopped_and_findings_are_judged(
    server: CodeServer, repository: Repository, store: Store, tmp_path: Path
) -> None:
    """Progress shows and stops on a click; reasons are asked for, reach the engine, and are taken back."""
    repository.commit(app="x = 1\n")
    repository.write(app=EVALS)
    entered, release = Event(), Event()

    def wait(request: WriteRequest) -> str:
        if is_question(request):
            return json.dumps({"answer": "It adds up."})
        entered.set()
        release.wait(600)
        return json.dumps({"severity": "major", "message": "No eval.", "suggestion": "w = safe(z)"})

    async def main(url: str) -> None:
        server.configure(serverPath=str(install_server(tmp_path / "home")), engineUrl=url)
        async with window(server, repository.root, tmp_path / "chromium") as bench:
            await bench.open("app.py")
            await bench.until_bar("Tenken")
            await bench.run("Tenken: Review what changed")
            assert await asyncio.to_thread(entered.wait, SECONDS)
            await bench.until_bar("Tenken: 0/1")
            await bench.click(".statusbar-item", "Tenken review")
            await bench.answer("Cancel")
            await bench.until_bar("Tenken")
            release.set()
            await bench.run("Tenken: Review what changed")
            await bench.until_bar("Tenken 2")
            await bench.press("ctrl+shift+m")
            await bench.until_problems(2, 4)
            await judge(bench, store)
            await use(bench, store, repository.root / "app.py")

    routes = feedback.routes(store.feedback)
    with serving(finding_evals(replies=wait), more_routes=routes) as engine:
        try:
            asyncio.run(main(engine.url))
        finally:
            release.set()


async def judge(bench: Workbench, store: Store) -> None:
    """Call one finding wrong and leave the other; bring one back."""
    await to_line(bench, 2)
    await bench.quick_fix("Wrong: Something else")
    await bench.until_text(".quick-input-title", "What is wrong")
    await bench.write("it is a test")
    await bench.press("enter")
    await bench.until_problems(4)
    await to_line(bench, 4)
    await bench.run("Tenken: Won't fix the finding at the cursor")
    await bench.until_text(".quick-input-title", "Why will this not be fixed")
    await bench.write("later")
    await bench.press("enter")
    await bench.until_problems()
    said = await asyncio.to_thread(heard, store, 2)
    assert sorted(said) == [("dismissed", "later"), ("wrong", "other: it is a test")]
    await bench.run("Tenken: Take back the latest dismissal")
    await bench.until_problems(4)


async def use(bench: Workbench, store: Store, file: Path) -> None:
    """Take a suggestion, and have a finding explained, by the commands of the palette."""
    await to_line(bench, 4)
    await bench.run("Tenken: Apply the suggestion of the finding at the cursor")
    await bench.until_problems()
    await bench.press("ctrl+s")
    await asyncio.to_thread(until_text, file, EVALS.replace("w = eval(z)", "w = safe(z)"))
    said = await asyncio.to_thread(heard, store, 4)
    assert ("applied", "") in said
    await bench.run("Tenken: Take back the latest dismissal")
    await bench.until_problems(2)
    await to_line(bench, 2)
    await bench.run("Tenken: Explain the finding at the cursor")
    await bench.until_text(".tab.active", "Explanation")


async def to_line(bench: Workbench, line: int) -> None:
    """Put the cursor on a line of the editor, wherever it is."""
    await bench.click(".monaco-editor .view-lines")
    await bench.go(line)


def test_a_server_that_is_not_there(server: CodeServer, repository: Repository, tmp_path: Path) -> None:
    """It is said, with what to do; once installed it is found, killed it comes back, told off it is off."""
    repository.commit(app="x = 1\n")

    async def main() -> None:
        program = tmp_path / "home" / "bin" / "tenken-lsp"
        server.configure(serverPath=str(program), engineUrl="http://127.0.0.1:9")
        async with window(server, repository.root, tmp_path / "chromium") as bench:
            await bench.until_bar("Tenken: no server")
            await bench.until_count(".notifications-toasts .monaco-button", 3)
            buttons = await bench.texts(".notifications-toasts .monaco-button")
            assert [text.strip() for text in buttons] == ["How to install it", "Say where it is", "Try again"]
            await bench.click(".notifications-toasts .monaco-button", "How to install it")
            await bench.until_text(".getting-started-step, .step-title", "Install the server")
            assert install_server(tmp_path / "home") == program
            await bench.click(".getting-started-step .monaco-button, .button-link", "Look for it")
            await bench.until_bar("Tenken")
            process = await asyncio.to_thread(process_of, tmp_path / "home", "lsp")
            assert process is not None
            os.kill(process, signal.SIGKILL)
            await asyncio.to_thread(until_other, tmp_path / "home", process)
            await bench.until_bar("Tenken")
            await bench.run("Preferences: Open User Settings (JSON)")
            await bench.until_text(".tab.active", "settings.json")
            await bench.until_text(".monaco-editor.focused .view-line", "startupEditor")
            await bench.press("ctrl+a")
            await bench.write(json.dumps({"tenken.serverPath": str(program), "tenken.enabled": False}))
            await bench.press("ctrl+s")
            await bench.until_bar("Tenken: off")

    asyncio.run(main())


def test_a_folder_that_is_not_trusted(server: CodeServer, repository: Repository, tmp_path: Path) -> None:
    """Nothing is run until it is trusted, and even then it does not say which engine gets the code."""
    repository.commit(app="x = 1\n")
    repository.write(app=EVALS)
    ran = tmp_path / "ran"
    install_server(tmp_path / "home")
    planted = repository.root / ".venv" / "bin" / "tenken-lsp"
    planted.parent.mkdir(parents=True)
    planted.write_text(
        f'#!/bin/sh\ntouch {ran}\nLSP_EMBEDDED=false exec {tmp_path}/home/bin/tenken-lsp "$@"\n', "utf-8"
    )
    planted.chmod(0o755)
    (repository.root / ".vscode").mkdir()
    (repository.root / ".vscode" / "settings.json").write_text(
        json.dumps({"tenken.serverPath": "/nowhere", "tenken.engineUrl": "http://127.0.0.1:9"}), "utf-8"
    )

    async def main() -> None:
        server.configure(**{"security.workspace.trust.enabled": True})
        async with window(server, repository.root, tmp_path / "chromium") as bench:
            await bench.open("app.py")
            await bench.until_bar("Tenken: not trusted")
            await bench.run("Tenken: Review what changed")
            await bench.until_text(".monaco-aria-container", "nothing runs in a folder that is not trusted")
            assert not ran.exists()
            await bench.answer("Trust this folder")
            await bench.click(".workspace-trust-editor .monaco-button", "Trust")
            await asyncio.to_thread(until_exists, ran)
            await bench.until_bar("Tenken")
            await bench.run("Tenken: Review what changed")
            await bench.until_bar("Tenken: no engine")

    asyncio.run(main())


def until_other(home: Path, process: int) -> None:
    """Wait until a user's server is another process."""
    end = time.monotonic() + SECONDS
    while process_of(home, "lsp") in (None, process):
        assert time.monotonic() < end
        time.sleep(0.05)


def until_exists(path: Path) -> None:
    """Wait for a file."""
    end = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.05)


@pytest.mark.model
def test_the_real_model(
    server: CodeServer, repository: Repository, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With no engine named the embedded one does it all; killed, it is begun again."""
    repository.commit(orders="import hashlib\n")
    repository.write(orders=ORDERS)
    file, home = repository.root / "orders.py", tmp_path / "home"

    async def main() -> bytes:
        server.configure(serverPath=str(install_server(home)))
        async with window(server, repository.root, tmp_path / "chromium") as bench:
            await bench.open("orders.py")
            await bench.press("ctrl+shift+m")
            async with bench.bar_says(r"Tenken( \d)?: (0/1|loading the model)", MODEL_SECONDS):
                await bench.run("Tenken: Review what changed")
            await bench.until_problems(5, 13, 20, 26, seconds=MODEL_SECONDS)
            await bench.until_bar("Tenken 4", MODEL_SECONDS)
            picture = await look_at(bench)
            await mend(bench, file)
            await stop_and_kill(bench, home)
            return picture

    picture = asyncio.run(main())
    assert picture.startswith(b"\x89PNG")
    if request.config.getoption("--update-goldens"):
        SCREENSHOT.write_bytes(picture)


async def look_at(bench: Workbench) -> bytes:
    """See what a finding looks like: its line is marked, and a hover has the whole message and its origin."""
    await bench.until_count(".monaco-editor .squiggly-error", 1)
    await bench.press("ctrl+b")  # more room for the code
    await to_line(bench, 20)
    await bench.until_count(".monaco-editor .squiggly-warning", 2)  # those of the lines in sight
    await bench.press("ctrl+k", "ctrl+i")
    said = await bench.until_text(".monaco-hover", "Do not use bare")
    assert "83% sure" in said
    assert "except Exception:" in said
    assert "adapter starter-" in said
    await asyncio.sleep(1)  # it fades in
    picture = await bench.screenshot()
    await bench.press("escape")
    return picture


async def mend(bench: Workbench, file: Path) -> None:
    """Type above a finding, take its suggestion, and hide others; what was edited is what was meant."""
    await bench.press("ctrl+1", "ctrl+home")
    await bench.write("# ours")
    await bench.press("enter")
    await bench.until_problems(6, 14, 21, 27)
    await to_line(bench, 21)
    await bench.quick_fix("Apply suggestion")
    await bench.until_problems(6, 14, 27)
    await to_line(bench, 6)
    await bench.quick_fix("Dismiss here")
    await bench.until_problems(14, 27)
    await to_line(bench, 27)
    await bench.run("Tenken: The finding at the cursor is wrong")
    await bench.pick("It is meant to be so")
    await bench.until_problems(14)
    await bench.press("ctrl+1", "ctrl+s")
    await asyncio.to_thread(until_text, file, "# ours\n" + ORDERS.replace("except:", "except Exception:"))


async def stop_and_kill(bench: Workbench, home: Path) -> None:
    """What is hidden stays so; a review is stopped, the engine killed in another, and a third is whole."""
    await bench.until_bar("Tenken 1", MODEL_SECONDS)
    with held(home):
        await bench.run("Tenken: Review what changed, also what is known")
        await bench.until_bar("Tenken 1: 0/1", MODEL_SECONDS)
    await bench.run("Tenken: Stop the review")
    await bench.until_bar("Tenken 1", MODEL_SECONDS)
    with held(home) as process:
        await bench.run("Tenken: Review what changed, also what is known")
        await bench.until_bar("Tenken 1: 0/1", MODEL_SECONDS)
        await asyncio.to_thread(until_asked, process)
        async with bench.bar_says("Tenken 1: no answer", MODEL_SECONDS):
            os.kill(process, signal.SIGKILL)
    await bench.until_problems(14)
    await bench.run("Tenken: Review what changed, also what is known")
    await bench.until_bar("Tenken 1", MODEL_SECONDS)
    await bench.until_problems(14)
    assert await asyncio.to_thread(embedded_engine, home) not in (None, process)


def until_text(path: Path, text: str) -> None:
    """Wait until a file has a text."""
    end = time.monotonic() + SECONDS
    while (found := path.read_text("utf-8")) != text:
        assert time.monotonic() < end, found
        time.sleep(0.05)
