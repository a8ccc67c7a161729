"""`tenken-lsp` as a process: options, exit codes, and what it says where a part is missing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from editors import ROOT, SECONDS, capabilities, editing

from lsp.outages import State
from lsp.server import COMMANDS

PROTOCOL = (ROOT / "lsp" / "PROTOCOL.md").read_text("utf-8")


def tenken_lsp(*arguments: str, stdin: bytes = b"", code: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run the command; `code` comes before it in the same process."""
    run = f"import sys; {code}\nfrom lsp.__main__ import main; sys.exit(main({list(arguments)}))"
    return subprocess.run(
        [sys.executable, "-c", run],
        input=stdin,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=SECONDS,
    )


def test_options() -> None:
    """The version is told, what cannot be used is refused with 2, an editor that is gone ends it with 1."""
    version = tenken_lsp("--version")
    assert (version.returncode, version.stdout[:11]) == (0, b"tenken-lsp ")
    for bad in (["--tcp", "70000"], ["--stdio", "--tcp", "1"], ["--nothing"]):
        refused = tenken_lsp(*bad)
        assert refused.returncode == 2
        assert b"--help" in refused.stderr
    assert tenken_lsp("--stdio").returncode == 1
    broken = tenken_lsp(stdin=b'Content-Length: 5\r\n\r\n{"a":')
    assert (broken.returncode, broken.stdout) == (1, b"")


def test_a_missing_part_is_named() -> None:
    """Without the extra it says what to install."""
    missing = tenken_lsp(code="sys.modules['pygls'] = None")
    assert missing.returncode == 3
    assert b"pip install 'tenken[lsp]'" in missing.stderr


def test_an_exit_without_shutdown(tmp_path: Path) -> None:
    """It ends with 1, as the protocol asks, and at once while a review runs."""

    async def run() -> None:
        async with editing(None, home=tmp_path) as editor:
            editor.notify("exit")
            async with asyncio.timeout(SECONDS):
                assert await editor.process.wait() == 1

    asyncio.run(run())


def test_one_connection_on_this_machine(tmp_path: Path) -> None:
    """With --tcp it serves one client on loopback, then ends."""

    async def run() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lsp", "--tcp", "0"),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        )
        assert process.stderr is not None
        said = (await process.stderr.readline()).decode()
        match = re.search(r"127\.0\.0\.1:(\d+)", said)
        assert match, said
        reader, writer = await asyncio.open_connection("127.0.0.1", int(match[1]))
        body = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}'
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        assert await reader.readline()
        body = b'{"jsonrpc":"2.0","id":2,"method":"shutdown"}'
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        body = b'{"jsonrpc":"2.0","method":"exit"}'
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        async with asyncio.timeout(SECONDS):
            await process.communicate()
        assert process.returncode == 0
        writer.close()

    asyncio.run(run())


def test_a_fault_before_the_session_is_logged() -> None:
    """As JSON with its place, though the log has not begun; what was sent is not in it."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":"SECRET"}'
    ended = tenken_lsp(stdin=b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert json.loads(line)["event"] == "lsp.fault"
    assert b"SECRET" not in ended.stderr + ended.stdout


def test_what_a_client_asks_wrongly_is_no_fault() -> None:
    """It is told so in the answer; the log, which editors show, stays empty."""
    bodies = (
        b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}',
        b'{"jsonrpc":"2.0","id":2,"method":"workspace/executeCommand","params":{"command":"tenken.none"}}',
        b'{"jsonrpc":"2.0","id":3,"method":"tenken/none"}',
        b'{"jsonrpc":"2.0","id":4,"method":"shutdown"}',
        b'{"jsonrpc":"2.0","method":"exit"}',
    )
    messages = b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)
    ended = tenken_lsp(stdin=messages)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.count(b'"error"') == 2


def test_source_code_is_never_logged(tmp_path: Path) -> None:
    """Not at the lowest level, and not where a handler fails."""

    async def run() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lsp", "--log-level", "debug"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        )
        bodies = (
            b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}',
            b'{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":'
            b'{"uri":"file:///a.py","languageId":"python","version":1,"text":"SECRET"}}}',
            b'{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":'
            b'{"uri":"file:///a.py","version":2},"contentChanges":[{"text":"SECRET","range":"SECRET"}]}}',
            b'{"jsonrpc":"2.0","id":2,"method":"shutdown"}',
            b'{"jsonrpc":"2.0","method":"exit"}',
        )
        messages = b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)
        _, log = await process.communicate(messages)
        assert process.returncode == 0
        assert b"SECRET" not in log

    asyncio.run(run())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    """Clients read PROTOCOL.md."""
    assert f"| `{name}` |" in PROTOCOL


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_documented(state: State) -> None:
    """With its health."""
    assert f"| `{state}` | {state.health} |" in PROTOCOL


@pytest.mark.parametrize("name", ["vscode", "neovim"])
def test_what_the_server_offers(name: str, tmp_path: Path) -> None:
    """Incremental texts, saves without text, quick fixes that resolve, commands, the client's encoding."""

    async def run() -> None:
        async with editing(None, editor=name, home=tmp_path) as editor:
            offered = editor.initialized["capabilities"]
            assert offered["textDocumentSync"]["change"] == 2
            assert offered["textDocumentSync"]["save"] == {"includeText": False}
            assert offered["codeActionProvider"] == {"codeActionKinds": ["quickfix"], "resolveProvider": True}
            assert set(offered["executeCommandProvider"]["commands"]) == set(COMMANDS)
            assert offered["workspace"]["workspaceFolders"] == {
                "supported": True,
                "changeNotifications": True,
            }
            wanted = capabilities(name)["general"]["positionEncodings"][0]
            assert offered["positionEncoding"] == wanted

    asyncio.run(run())
