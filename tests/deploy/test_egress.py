"""Nothing calls out: the whole loop in a network that holds GitLab, the engine and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from namespaces import cut_off, how

from engine.offline import SWITCHES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="no iproute2 here"),
]


def attempts(folder: Path, *command: str | Path, seconds: float = 550) -> list[dict[str, str]]:
    """Return what was tried while a command ran below the warden; the switches are the programs' to set."""
    environment = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    environment = {
        name: value for name, value in environment.items() if not name.startswith(("ENGINE_", "BOT_", "LSP_"))
    }
    environment["PYTHONPATH"] = str(ROOT)
    report = folder / "attempts.json"
    cut_off(
        [sys.executable, HERE / "warden.py", report, *command], cwd=folder, env=environment, seconds=seconds
    )
    found: list[dict[str, str]] = json.loads(report.read_text("utf-8"))
    return found


ATTEMPTS = """
import contextlib, socket, subprocess
for address in (("192.0.2.1", 443), ("203.0.113.9", 80)):
    with contextlib.suppress(OSError):
        socket.create_connection(address, 0.2)
with contextlib.suppress(OSError):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.3", 4318))
subprocess.run(["timeout", "60", "bash", "-c", "exec 3<>/dev/tcp/192.0.2.2/8080"], stderr=subprocess.DEVNULL)
with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", 9), 0.2)
"""
"""By Python, by UDP, by a program that is none of Python's; and to this machine, which is allowed."""

ASKING = (
    "import socket\ntry:\n    socket.getaddrinfo('telemetry.example.com', 443)\nexcept OSError:\n    pass\n"
)


@pytest.mark.skipif(not how(), reason="this system lets nobody make a network namespace")
def test_the_warden_sees_every_attempt(tmp_path: Path) -> None:
    """Packets of any process, and of Python also who sent them; else the test below proves nothing."""
    found = attempts(tmp_path, sys.executable, "-c", ATTEMPTS)
    packets = {attempt["to"] for attempt in found if attempt["seen"] == "packet"}
    assert packets == {"192.0.2.1:443", "203.0.113.9:80", "192.0.2.3:4318", "192.0.2.2:8080"}
    told = {(attempt["seen"], attempt["to"]) for attempt in found if attempt["seen"] != "packet"}
    assert told == {
        ("socket.connect", "192.0.2.1:443"),
        ("socket.connect", "203.0.113.9:80"),
        ("socket.sendto", "192.0.2.3:4318"),
        # create_connection looks up even an address
        ("socket.getaddrinfo", "192.0.2.1"),
        ("socket.getaddrinfo", "203.0.113.9"),
    }


@pytest.mark.skipif(not how(), reason="this system lets nobody make a network namespace")
def test_the_warden_hears_questions_for_names(tmp_path: Path) -> None:
    """A library that only looks a name up has given itself away."""
    found = attempts(tmp_path, "env", "RES_OPTIONS=timeout:1 attempts:1", sys.executable, "-c", ASKING)
    assert [each["to"] for each in found if each["seen"] == "socket.getaddrinfo"] == ["telemetry.example.com"]
    packets = [each["to"] for each in found if each["seen"] == "packet"]
    assert packets
    assert all(to.endswith(":53") for to in packets)


@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.skipif(not how(), reason="this system lets nobody make a network namespace")
def test_a_day_of_work_calls_nobody(tmp_path: Path) -> None:
    """Bot, engine, editor and command line: not one packet, not one question for a name."""
    assert attempts(tmp_path, sys.executable, HERE / "egress_story.py", "reviews", tmp_path) == []


@pytest.mark.skipif(not how(), reason="this system lets nobody make a network namespace")
def test_a_history_is_asked_of_gitlab_alone(tmp_path: Path) -> None:
    """From collect to split."""
    assert attempts(tmp_path, sys.executable, HERE / "egress_story.py", "history", tmp_path) == []


@pytest.mark.train
@pytest.mark.timeout(600)
@pytest.mark.skipif(not how(), reason="this system lets nobody make a network namespace")
def test_training_calls_nobody(tmp_path: Path) -> None:
    """With torch, transformers, PEFT, TRL and Unsloth, whose makers would like to hear of it."""
    assert (
        attempts(tmp_path, sys.executable, HERE / "egress_story.py", "training", tmp_path, seconds=580) == []
    )


@pytest.mark.skipif("TENKEN_TEST_EGRESS" not in os.environ, reason="takes minutes: TENKEN_TEST_EGRESS=1")
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not how(), reason="this system lets nobody make a network namespace")
def test_the_whole_story_calls_nobody(tmp_path: Path) -> None:
    """As tests/e2e tells it, with `/retrain` and `/rollback`, in both languages."""
    story = ROOT / "tests" / "e2e" / "test_story.py"
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", story, "--basetemp", tmp_path / "story")
    assert attempts(tmp_path, sys.executable, *command, seconds=3500) == []
