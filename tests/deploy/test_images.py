"""The images, built and run as the compose file has it: `/review` is answered by the real model in one.

Minutes, and a container engine, which the other tests do without:

    export TENKEN_TEST_IMAGES=1 TENKEN_TEST_BASE_IMAGE=localhost/python:3.11-bookworm-local
    pytest tests/deploy/test_images.py

deploy/images/local_base.sh makes such a base. TENKEN_TEST_BUILD_OPTIONS has further words for the builds,
such as `--secret id=pip.conf,src=FILE`; TENKEN_TEST_CONTAINERS names docker or podman where both are there.
While Docker's service runs, its firewall keeps Podman's containers from each other in an internal network.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from compose_containers import Containers, container_program

from bot.demo.sample_files import sample
from bot.fake_gitlab import FakeGitLab, StoredMergeRequest
from bot.gitlab import Access
from bot.markers import MarkerKind, marker_of

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose" / "cpu.yaml").read_text("utf-8"))
TARGETS = {"engine": "engine-cpu", "bot": "bot"}
SECRET, ACCOUNT = "a-secret-of-the-image-test", 10001
SECONDS = 300
BASE = os.environ.get("TENKEN_TEST_BASE_IMAGE", "")

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.model,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        os.environ.get("TENKEN_TEST_IMAGES") != "1" or not BASE,
        reason="builds images with docker or podman: TENKEN_TEST_IMAGES=1 and TENKEN_TEST_BASE_IMAGE=NAME",
    ),
]


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    """The engine's and the bot's image, by service; they stay, for the next run's builds."""
    program = container_program()
    assert program, "neither docker nor podman answers"
    # Podman's own format has no health checks.
    options = ["--format", "docker"] if program.endswith("podman") else []
    options += shlex.split(os.environ.get("TENKEN_TEST_BUILD_OPTIONS", ""))
    built = {service: f"localhost/tenken-test/{target}:latest" for service, target in TARGETS.items()}
    containers = Containers(COMPOSE, "", {}, built, program)
    for service, name in built.items():
        words = (
            "--file",
            ROOT / "deploy" / "images" / "Dockerfile",
            "--target",
            TARGETS[service],
            "--tag",
            name,
        )
        containers.call("build", *words, "--build-arg", f"PYTHON_IMAGE={BASE}", *options, ROOT)
    return built


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with the compose file's services, and the GitLab that they are for."""

    containers: Containers
    fake: FakeGitLab
    folder: Path

    async def to(self, call: str, *words: object) -> str:
        """Do something with the containers beside the loop, which GitLab needs."""
        return str(await asyncio.to_thread(getattr(self.containers, call), *words))

    def write_secret(self, name: str, text: str) -> None:
        """Write a file that only the images' account may read."""
        path = self.containers.secrets[name]
        path.unlink(missing_ok=True)
        path.write_text(text)
        os.chown(path, ACCOUNT, ACCOUNT)
        path.chmod(0o400)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("the secrets' files are to be another account's: run this as root")
    return tmp_path


@asynccontextmanager
async def machine(folder: Path, images: dict[str, str]) -> AsyncIterator[Machine]:
    secrets = {name: folder / name for name in COMPOSE["secrets"]}
    containers = Containers(COMPOSE, f"tenken-test-{uuid.uuid4().hex[:8]}", secrets, images)
    fake = FakeGitLab()
    await fake.start(_address())
    try:
        await asyncio.to_thread(containers.prepare)
        yield Machine(containers, fake, folder)
    finally:
        await asyncio.to_thread(containers.end)
        await fake.stop()


async def test_a_review_is_asked_for_and_answered(folder: Path, images: dict[str, str]) -> None:
    """By the README's steps: a token, its settings, both started and healthy; they end well and remember."""
    async with machine(folder, images) as at:
        tokens = ("--tokens", "/var/lib/tenken/tokens.json")
        at.write_secret("engine.env", "")
        token = (await at.to("run_once", "engine", "token", "create", *tokens)).split()[-1]
        settings = {
            "GITLAB_URL": at.fake.url,
            "GITLAB_TOKEN": at.fake.bot.token,
            "ENGINE_TOKEN": token,
            "WEBHOOK_SECRETS": json.dumps([SECRET]),
        }
        at.write_secret("bot.env", "".join(f"BOT_{name}={value}\n" for name, value in settings.items()))
        await at.to("run_once", "engine", "doctor", "--deploy", *tokens)
        project = at.fake.add_project(files=sample("before"))
        author = at.fake.add_person("author")
        project.members[author.id] = Access.DEVELOPER

        async def ask(branch: str) -> StoredMergeRequest:
            changed = {**sample("before"), **sample("after")}
            mr = at.fake.add_merge_request(project, changed, author=author, branch=branch)
            _, note = at.fake.as_person(author, project, mr).note("/review")
            async with asyncio.timeout(SECONDS):
                while "white_check_mark" not in {name for _, name, _ in note.awards}:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            return mr

        for service in ("engine", "bot"):
            await at.to("start", service)
            await at.to("until_healthy", service)
        at.fake.add_hook(project, f"http://127.0.0.1:{await at.to('port', 'bot')}/webhook", SECRET)
        first = await ask("first")
        assert kinds(first)[MarkerKind.SUMMARY] == 1
        assert kinds(first)[MarkerKind.FINDING] >= 1
        await hardened(at)
        copies = await backed_up(at)
        assert {"bot/bot.db", "engine/tenken.db", "engine/tokens.json"} <= copies
        assert [await at.to("stop", service) for service in ("bot", "engine")] == ["0", "0"]
        project.hooks.clear()  # the port is another one after a start
        for service in ("engine", "bot"):
            await at.to("call", "start", f"{at.containers.prefix}-{service}")
            await at.to("until_healthy", service)
        at.fake.add_hook(project, f"http://127.0.0.1:{await at.to('port', 'bot')}/webhook", SECRET)
        assert kinds(await ask("second")) == kinds(first)
        assert kinds(first)[MarkerKind.SUMMARY] == 1
        logs = [await at.to("call", "logs", f"{at.containers.prefix}-{service}") for service in TARGETS]
        assert not any(
            word in log for log in logs for word in (SECRET, token, at.fake.bot.token, "Traceback")
        )


def kinds(mr: StoredMergeRequest) -> Counter[MarkerKind]:
    """Count what the bot wrote, by kind."""
    return Counter(marker.kind for note in mr.notes if (marker := marker_of(note.body)))


async def hardened(at: Machine) -> None:
    """The root file system cannot be written to, by an account that has no right left."""
    look = "id -u; grep -E '^(CapEff|NoNewPrivs):' /proc/1/status; touch /opt/x /etc/x || true"
    for service in TARGETS:
        seen = await at.to("call", "exec", f"{at.containers.prefix}-{service}", "sh", "-c", look)
        assert str(ACCOUNT) in seen
        assert "0000000000000000" in seen
        assert "NoNewPrivs:\t1" in seen
        assert seen.count("Read-only file system") == 2


async def backed_up(at: Machine) -> set[str]:
    """Return what deploy/backup.py copies out of the volumes while both run, as operations.md has it."""
    place = at.folder / "backups"
    place.mkdir()
    os.chown(place, ACCOUNT, ACCOUNT)
    prefix = at.containers.prefix
    mounts = (
        f"--volume={prefix}-engine-data:/from/engine",
        f"--volume={prefix}-bot-data:/from/bot",
        f"--volume={ROOT}/deploy/backup.py:/backup.py:ro",
        f"--volume={place}:/backups",
    )
    command = (
        "--entrypoint=python",
        at.containers.images["bot"],
        "/backup.py",
        "/backups",
        "/from/engine",
        "/from/bot",
    )
    await at.to("call", "run", "--rm", "--network=none", *mounts, *command)
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def _address() -> str:
    """Return the address of this machine that containers reach it by; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
