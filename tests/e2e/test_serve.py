"""`tenken serve`, `tenken token` and `tenken review --engine` as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("tenken_with_fake_model.py")
ROOT = Path(__file__).parents[2]
SECONDS = 120
DIFF = "--- /dev/null\n+++ b/a.py\n@@ -0,0 +1,2 @@\n+x = 1\n+secret_name = eval(x)\n"


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "ENGINE_ADAPTER_DIR": ""} | more


def tenken(home: Path, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=home,
        env=environment(home, **more),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


@contextmanager
def engine(home: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve while inside; give the address and the process."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "serve", "--port", "0", "--adapter", "none", *arguments],
        cwd=home,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("tenken: listening on ").strip(), process
    finally:
        process.kill()
        process.communicate()


def test_review_elsewhere_is_the_review_here(tmp_path: Path) -> None:
    """Same report and exit code; token by file or environment, engine by option or variable."""
    made = tenken(tmp_path, "token", "create", "--project", "group/app")
    token = made.stdout.strip()
    (tmp_path / "token").write_text(made.stdout)
    here = tenken(tmp_path, "review", "--diff", "-", "--format", "text", "--fail-on", "major", stdin=DIFF)
    with engine(tmp_path, "--tokens", "tokens.json") as (url, process):
        common = ("review", "--diff", "-", "--format", "text", "--fail-on", "major")
        by_file = tenken(tmp_path, *common, "--engine", url, "--token-file", "token", stdin=DIFF)
        by_variable = tenken(tmp_path, *common, stdin=DIFF, ENGINE_URL=url, ENGINE_TOKEN=token)
        refused = tenken(tmp_path, *common, "--engine", url, stdin=DIFF)
        bad = tenken(tmp_path, *common, "--engine", url, "--token-file", "token", stdin="no diff")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=SECONDS)
    assert here.returncode == by_file.returncode == by_variable.returncode == 1
    assert "a.py" in by_file.stdout
    assert _without_times(by_file.stdout) == _without_times(by_variable.stdout) == _without_times(here.stdout)
    assert (refused.returncode, bad.returncode) == (3, 2)
    assert "token" in refused.stderr
    assert process.returncode == 0
    events = [json.loads(line) for line in log.splitlines()]
    assert [event["event"] for event in events if event["event"].startswith("engine.")] == [
        "engine.listening",
        "engine.draining",
        "engine.stopped",
    ]
    assert "secret_name" not in log
    assert token not in log


def test_a_killed_upload_is_cleaned_up_at_the_next_start(tmp_path: Path) -> None:
    """What SIGKILL left half received is gone when the engine listens again."""
    data = tmp_path / ".local" / "share" / "tenken"
    head = (
        b"POST /v1/adapters HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="README.md"\r\n\r\nbeginning'
    )
    with engine(tmp_path) as (url, process):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head)
            while not list(data.glob(".upload-*/adapter/*")):
                time.sleep(0.01)
            process.kill()
    assert list(data.glob(".upload-*"))
    with engine(tmp_path):
        assert list(data.glob(".upload-*")) == []


def _without_times(report: str) -> list[str]:
    return [line for line in report.splitlines() if " s" not in line]


def test_tokens_are_listed_and_removed(tmp_path: Path) -> None:
    """The list has ids, roles and projects, and no secret."""
    token = tenken(tmp_path, "token", "create", "--role", "admin", "--project", "a").stdout.strip()
    _, name, secret = token.split("_", 2)
    listed = tenken(tmp_path, "token", "list").stdout
    assert name in listed
    assert "admin" in listed
    assert secret not in listed
    assert tenken(tmp_path, "token", "remove", name).returncode == 0
    assert tenken(tmp_path, "token", "list").stdout == ""


REFUSED = {
    "open to others without tokens": (("--host", "0.0.0.0"), "--tokens FILE is needed"),
    "no tokens in the file": (("--tokens", "empty.json"), "no tokens"),
    "no such file": (("--tokens", "nowhere.json"), "cannot read"),
    "half of TLS": (("--tls-cert", "x"), "belong together"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unsafe_start_is_refused(tmp_path: Path, case: str) -> None:
    """With exit code 2 and one line that says why, before anything listens."""
    arguments, text = REFUSED[case]
    (tmp_path / "empty.json").write_text("{}")
    done = tenken(tmp_path, "serve", "--port", "0", *arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_engine_that_is_not_there_is_exit_code_3(tmp_path: Path) -> None:
    """One line with the address."""
    done = tenken(tmp_path, "review", "--diff", "-", "--engine", "http://127.0.0.1:9", stdin=DIFF)
    assert done.returncode == 3
    assert "cannot reach http://127.0.0.1:9" in done.stderr
