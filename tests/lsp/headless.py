"""A real Neovim without a screen, with the plugin and the real `tenken-lsp`; Lua is run in it from here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from editors import ROOT

PLUGIN = ROOT / "lsp" / "editors" / "nvim"
SECONDS = 120.0  # a machine may be busy

_FINDINGS = """
return vim.tbl_map(function(found) return found.lnum + 1 end, require('tenken.findings').all())
"""
_START = """
set runtimepath^={plugin}
lua <<EOF
told = {{}}
vim.notify = function(text) table.insert(told, text) end
{lua}
EOF
filetype on
"""


class Neovim:
    """A running Neovim."""

    def __init__(self, program: str, socket: Path, environment: Mapping[str, str]) -> None:
        self._program = program
        self._socket = socket
        self._environment = environment

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it, and return its process when it answers and has read what it was started with."""
        command = [self._program, "--headless", "-i", "NONE", "--listen", str(self._socket), *arguments]
        nothing = subprocess.DEVNULL
        process = subprocess.Popen(
            command, stdin=nothing, stdout=nothing, stderr=nothing, env=self._environment
        )
        end = time.monotonic() + SECONDS
        while not (self._socket.exists() and self._has_begun()):
            assert process.poll() is None, "Neovim ended"
            assert time.monotonic() < end, "Neovim does not listen"
            time.sleep(0.02)
        return process

    def end(self) -> None:
        """Have it leave. It is gone before it has answered, so there is no answer to look at."""
        self._run("--server", str(self._socket), "--remote-expr", "execute('qa!')")

    def lua(self, body: str, *arguments: object) -> Any:
        """Return what the body of a Lua function returns; `...` are the arguments."""
        chunk = f"(function(...) local given = vim.json.decode({_quoted(json.dumps(arguments))})\n"
        chunk += f"return vim.json.encode({{ (function(...) {body} end)(unpack(given)) }}) end)()"
        path = self._socket.with_suffix(".lua")
        path.write_text(f"return {chunk}", encoding="utf-8")
        asked = f"luaeval('dofile(_A)', '{path}')"
        answer = self._run("--server", str(self._socket), "--remote-expr", asked)
        if answer.returncode != 0:
            raise AssertionError(answer.stderr)
        values = json.loads(answer.stdout or answer.stderr)
        return values[0] if values else None

    def command(self, text: str) -> None:
        """Run an Ex command."""
        self.lua("vim.cmd(...)", text)

    def until(self, condition: str, *arguments: object, seconds: float = SECONDS) -> Any:
        """Wait until the body of a Lua function returns what is neither nil nor false, and return that."""
        end = time.monotonic() + seconds
        while not (value := self.lua(condition, *arguments)):
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {condition}; told: {self.told()}")
            time.sleep(0.05)
        return value

    def until_lines(self, *lines: int, seconds: float = SECONDS) -> None:
        """Wait until exactly these lines, from 1, have a finding."""
        same = f"return vim.deep_equal((function() {_FINDINGS} end)(), ...)"
        self.until(same, list(lines), seconds=seconds)

    def until_state(self, state: str, seconds: float = SECONDS) -> None:
        """Wait until the server says that it is in a state."""
        said = "local s = require('tenken.status').get() return s and s.state == ..."
        self.until(said, state, seconds=seconds)

    def told(self) -> list[str]:
        """Return what the plugin told the person."""
        return list(self.lua("return told"))

    def lines(self) -> list[str]:
        """Return the text of the buffer."""
        return list(self.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)"))

    def to(self, line: int) -> None:
        """Put the cursor on a line, from 1."""
        self.lua("vim.api.nvim_win_set_cursor(0, { ..., 0 })", line)

    def floats(self) -> str:
        """Return the text of all floating windows."""
        found = self.lua("""
            local texts = {}
            for _, window in ipairs(vim.api.nvim_list_wins()) do
              if vim.api.nvim_win_get_config(window).relative ~= '' then
                local buffer = vim.api.nvim_win_get_buf(window)
                vim.list_extend(texts, vim.api.nvim_buf_get_lines(buffer, 0, -1, false))
              end
            end
            return table.concat(texts, '\\n')
        """)
        return str(found)

    def _has_begun(self) -> bool:
        answer = self._run("--server", str(self._socket), "--remote-expr", "v:vim_did_enter")
        return answer.returncode == 0 and (answer.stdout or answer.stderr).strip() == "1"

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self._program, "--headless", "-u", "NONE", "-i", "NONE", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=self._environment, timeout=SECONDS, check=False
        )


@contextmanager
def neovim(
    file: Path, lua: str = "", *, program: str, home: Path, server: bool = True, **environment: str
) -> Iterator[Neovim]:
    """Give a Neovim with a file open, started with some Lua of the user; nothing of it is left."""
    home.mkdir(exist_ok=True)
    if server:
        _install(home / "bin" / "tenken-lsp")
    start = home / "init.vim"
    start.write_text(_START.format(plugin=PLUGIN, lua=lua), encoding="utf-8")
    kept = _environment(home) | environment
    # The address of a socket has room for a hundred characters.
    with TemporaryDirectory(prefix="nvim-") as folder:
        made = Neovim(program, Path(folder) / "socket", kept)
        process = made.start("-n", "-u", str(start), str(file))
        try:
            yield made
            made.end()
            process.wait(SECONDS)
        finally:
            process.kill()
            process.wait()


def _environment(home: Path) -> dict[str, str]:
    """Return the environment of a person who has only Neovim, Python and git."""
    kept = {
        name: value for name, value in os.environ.items() if name[:4] not in ("ENGI", "LSP_", "LANG", "NVIM")
    }
    kept |= {"HOME": str(home), "PATH": f"{home / 'bin'}:/usr/bin:/bin", "GIT_CONFIG_GLOBAL": os.devnull}
    kept |= {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA", "STATE")}
    return kept | {"LC_ALL": "", "LC_MESSAGES": ""}


def _install(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m lsp "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def _quoted(text: str) -> str:
    return f"[==[{text}]==]"
