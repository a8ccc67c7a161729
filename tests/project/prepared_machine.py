"""A machine on which pages are followed: a repository, a GitLab, an engine, and the files that they name.

GitLab is the fake one, the engine has a fake model, and what is trained is a random model of three layers;
all else are the real programs.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from certificates import self_signed
from followed_pages import Machine, listening
from git_repository import Repository
from gitlab_thread import serving_gitlab
from shown_commands import DEPLOY, ROOT, blocks

sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("bot", "training")]

from fast_training import SETTINGS as RETRAIN_SETTINGS  # noqa: E402
from history_world import BASE, World  # noqa: E402
from payloads import note_payload  # noqa: E402
from toy_gemma import write_tiny_gemma  # noqa: E402
from whole_adapters import write_adapter  # noqa: E402

from bot.fake_gitlab import FakeGitLab  # noqa: E402
from engine.adapters import load_adapter  # noqa: E402
from engine.finetune.record import ORIGIN  # noqa: E402
from engine.models import installed_package  # noqa: E402
from engine.settings import EngineSettings  # noqa: E402
from engine.store.opening import open_store  # noqa: E402
from engine.tokens import Role, TokenFile  # noqa: E402

PROJECT = "group/app"
_KEPT = ("LANG", "TMPDIR", "LD_LIBRARY_PATH")
_WARM = "tests/project/warm_training.py"
_PROGRAMS = {
    "python": "",
    "cyclonedx-py": "-m cyclonedx_py",
    "tenken": '"$ROOT/tests/e2e/tenken_with_fake_model.py"',
    "tenken-bot": "-m bot",
    "tenken-lsp": "-m lsp",
    "tenken-train": f'"$ROOT/{_WARM}" "$HOME/trainer"',
}
_RETRAIN = '[ "$1" != retrain ] || { shift; exec "$PYTHON" "$ROOT/tests/project/fast_retrain.py" "$@"; }\n'
_LINKED = ("Makefile", "pyproject.toml", "constraints.txt", "tests")
_SHORT = """\
backend = "trl"
rank = 2
learning_rate = 1e-3
warmup_steps = 0
max_steps = 2
batch_tokens = 2048
"""
_PREFERENCE = "max_steps = 2\n"
_HISTORY = "[collect]\nrequests_per_second = 1000\n"
_VERBS = ("Close", "Check", "Rename", "Return", "Validate", "Log", "Cache", "Lock")
_NOUNS = ("the customer's file", "an index", "every order", "that handle", "one more thread", "the price")
_WHYS = ("or it leaks.", "before somebody else does.", "because callers rely on it.", "in a finally block.")


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Give a machine on which the engine serves as its page says, until the end of the block."""
    with ExitStack() as stack:
        fake = stack.enter_context(serving_gitlab())
        made = _machine(folder, fake)
        _repository(made.work)
        _programs(made.work)
        _gitlab(fake)
        _files(made)
        stack.enter_context(made.serving(served_line(), made.environment))
        trainer = [sys.executable, str(ROOT / _WARM), f"{folder}/home/trainer"]
        stack.enter_context(listening(trainer, folder, made.environment))
        yield made


def served_line() -> str:
    """Return how the engine's page serves one for many: that one serves all pages."""
    lines = (line for block in blocks(ROOT / "deploy" / "docs" / "engine.md") for line in block.to_run())
    return next(line for line in lines if line.startswith("tenken serve "))


def _machine(folder: Path, fake: FakeGitLab) -> Machine:
    work, home = folder / "work", folder / "home"
    home.mkdir()
    work.mkdir()
    ports = {"engine": _free_port(), "bot": _free_port()}
    adapters = [write_adapter(work / name, seed, base_sha256=_base()) for seed, name in
                enumerate(("runs/adapter", "other"))]  # fmt: skip
    first, second = (load_adapter(path).version for path in adapters)
    tokens = TokenFile(work / "tokens.json")
    (work / "token").write_text(tokens.create(Role.REVIEWER, projects=(PROJECT,)))
    instead = {
        "https://gitlab.example.com": fake.url,
        "https://gitlab.example": fake.url,
        "https://host:8750": f"https://localhost:{ports['engine']}",
        "glpat-...": fake.bot.token,
        "TENKEN_GITLAB_TOKEN=...": f"TENKEN_GITLAB_TOKEN={fake.bot.token}",
        "TENKEN_ENGINE_TOKEN=...": f"TENKEN_ENGINE_TOKEN={tokens.create(Role.ADMIN)}",
        "team-0123456789ab": first,
        "team-ba9876543210": second,
        "/var/": f"{folder}/var/",
        "--settings training/starter.toml": "",  # it compiles for a GPU
        "--beside starter": "--beside runs/preferred/adapter",  # the tiny model has no starter adapter
        "runs/champion": "runs/measured",  # nor was a champion measured
    }
    environment = {name: value for name, value in os.environ.items() if name in _KEPT} | {
        "HOME": str(home), "PATH": f"{work}/.venv/bin:{os.environ['PATH']}", "PYTHON": sys.executable,
        "ROOT": str(ROOT), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
        "GIT_CONFIG_GLOBAL": os.devnull, "ENGINE_CA_FILE": str(work / "cert.pem"),
        "BOT_ENGINE_URL": f"https://localhost:{ports['engine']}",
        "BOT_ENGINE_TOKEN": tokens.create(Role.REVIEWER), "BOT_ENGINE_CA_FILE": str(work / "cert.pem"),
    }  # fmt: skip
    return Machine(folder, fake, ports, instead, environment)


def _base() -> str:
    sha256: str = installed_package().EXPECTED_SHA256
    return sha256


def _free_port() -> int:
    """Return a port that no connection gets before somebody listens at it: one below those of their own."""
    for port in random.sample(range(20_000, 30_000), 1000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def _repository(work: Path) -> None:
    """Fill the folder with a history, a branch, something staged, and what the pages take for granted."""
    repository = Repository(work)
    repository.git("init", "-q", "-b", "main")
    repository.git("remote", "add", "origin", f"https://gitlab.example.com/{PROJECT}.git")
    for name in _LINKED:
        (work / name).symlink_to(ROOT / name)
    secrets = shutil.ignore_patterns("*.env", "__pycache__")
    shutil.copytree(DEPLOY, work / "deploy", ignore=secrets)
    (work / ".git" / "info" / "exclude").write_text("*\n!shop/\n!shop/*\n")
    orders = work / "shop" / "orders.py"
    orders.parent.mkdir()
    lines = [f'"""Orders, line {number}."""\n' for number in range(1, 20)]
    for number in range(3):
        orders.write_text("".join(lines) + f"total = eval(text_{number})\n")
        repository.commit(f"Change {number}")
    repository.git("checkout", "-q", "-b", "feature")
    orders.write_text("".join(lines) + "total = eval(text)\nprint(total)\n")
    repository.commit("Print the total")
    (work / "change.diff").write_text(repository.git("diff", "main...HEAD") + "\n")
    (work / "shop" / "cart.py").write_text("cart = eval(text)\n")
    repository.git("add", "shop/cart.py")


def _programs(work: Path) -> None:
    """Put the programs where `make` installs them, and stamps that say so."""
    folder = work / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name, words in _PROGRAMS.items():
        path = folder / name
        first = _RETRAIN if name == "tenken-train" else ""
        path.write_text(f'#!/bin/sh\n{first}exec "$PYTHON" {words} "$@"\n')
        path.chmod(0o755)
    for stamp in (".cpu", ".dev"):
        (work / ".venv" / stamp).touch()


def _gitlab(fake: FakeGitLab) -> None:
    """Fill the project with merge requests whose remarks were judged, in turn good and dismissed."""
    project = fake.add_project(PROJECT, BASE)
    people = [fake.add_person(name, name=f"{name.title()} Example") for name in ("mia", "dan", "sid")]
    project.members |= {people[0].id: 40, people[1].id: 30}
    others = fake.add_project("team/app")
    others.members[people[0].id] = 40
    world = World(fake, project, *people)
    for number in range(30):
        verb, noun, why = (words[number // step % len(words)] for words, step in
                           ((_VERBS, 1), (_NOUNS, 3), (_WHYS, 7)))  # fmt: skip
        path = f"shop/{verb.lower()}_{number}.py"
        code = [
            f"{verb.lower()}_{row}_{number} = {noun.split()[-1]}({number * row}, {row!r})" for row in range(8)
        ]
        mr = world.open_mr({**BASE, path: "\n".join(code) + "\n"})
        thread, _ = world.say(mr, f"{verb} {noun} here, {why}", path, new_line=3)
        world.reply(mr, thread, "/dismiss" if number % 2 else "/feedback good", by=world.developer)
        mr.state = "merged"


def _files(here: Machine) -> None:
    """Write the files that the pages name."""
    work, person = here.work, next(one for one in here.fake.world.people if one.username == "mia")
    self_signed(work)
    write_tiny_gemma(work / "tiny-gemma")
    (work / "tiny-gemma" / ORIGIN).write_text(json.dumps({"gguf_sha256": _base()}))
    texts = {
        "maintainer-token": person.token,
        "payload.json": json.dumps(note_payload("Ask so:\n```\n/review\n```")),
        "history.toml": _HISTORY,
        "short.toml": _SHORT,
        "preference.toml": _PREFERENCE,
        "retrain.toml": RETRAIN_SETTINGS,
        "feedback.jsonl": "",
        "tenken-bundle/requirements.txt": f"aiohttp==3.14.5 --hash=sha256:{'0' * 64}\n",
    }
    for name, text in texts.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(text)
    for name in ("tenken-engine", "tenken-bot"):
        data = here.folder / "var" / "lib" / name
        data.mkdir(parents=True)
        (data / "kept").write_text(name)
    settings = EngineSettings(data_dir=here.folder / "home" / ".local" / "share" / "tenken")
    with open_store(settings) as opened:
        version = opened.registry.import_adapter(work / "other", PROJECT, base_sha256=_base()).version
        opened.registry.promote(PROJECT, version)
