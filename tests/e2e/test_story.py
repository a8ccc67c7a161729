"""The whole story with the real model, in English and in Japanese: a project's first weeks with Tenken.

A hook is registered, a change pushed and reviewed, a finding dismissed in the editor, another fixed and its
thread resolved, a third called bad; the maintainer has it retrained, the next review is by the new adapter,
and it is rolled back. GitLab is the fake one; bot, engine, trainer and language server are processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("lsp", "training", "engine/store")]

from editors import editing  # noqa: E402
from git_repository import Repository  # noqa: E402
from history_world import World  # noqa: E402

from bot.demo.sample_files import sample  # noqa: E402
from bot.fake_gitlab import Account, FakeGitLab, StoredMergeRequest, StoredProject  # noqa: E402
from bot.fake_gitlab.state import StoredNote, Thread  # noqa: E402
from bot.markers import MarkerKind, marker_of  # noqa: E402
from engine.adapters import starter_adapter  # noqa: E402
from engine.tokens import Role, TokenFile  # noqa: E402
from engine.wire import Language  # noqa: E402

pytestmark = [pytest.mark.model, pytest.mark.train, pytest.mark.timeout(1800)]

PATH, ORDERS, CART = "team/shop", "shop/orders.py", "shop/cart.py"
SECONDS = 1200
FLAW, FIX = "    except:\n", "    except KeyError:\n"
SHELL = 'subprocess.run(f"cp'
SOLD = "".join(f"item_{number} = {number}\n" for number in range(1, 31))
TICK = "white_check_mark"
SECRET = "a-secret-of-the-story"
SETTINGS = """\
[retrain]
min_new = 3
[collect]
sources = 0
requests_per_second = 1000
[curate]
author_share = 1.0
[label]
rows = 6
[split]
dev = 0
test = 0.3
similarity = 1.0
[train]
backend = "trl"
rank = 4
learning_rate = 1e-3
warmup_steps = 0
max_steps = 2
batch_tokens = 192
eval_steps = 1
log_steps = 1
[examples]
nothing_share = 0
[measure]
items = 2
write = false
samples = 20
probe_words = 1
probe_items = 1
[gate]
min_items = 1
[gate.rules.top1]
gain = -2.0
"""
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


@dataclass
class Story:
    """Who is in it, and where."""

    fake: FakeGitLab
    project: StoredProject
    developer: Account
    maintainer: Account
    language: Language
    folder: Path

    @property
    def before(self) -> dict[str, str]:
        settings = {".tenken.toml": f'language = "{self.language.value}"\n'}
        return {**sample("before"), CART: SOLD, **settings}

    @property
    def after(self) -> dict[str, str]:
        return {**self.before, **sample("after")}

    def log(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in self.folder.glob("*.log"))

    async def say(
        self, mr: StoredMergeRequest, who: Account, text: str, thread: Thread | None = None
    ) -> None:
        """Write a note, and wait until the bot has done what it says."""
        pen = self.fake.as_person(who, self.project, mr)
        note = pen.reply(thread, text) if thread else pen.note(text)[1]
        try:
            async with asyncio.timeout(SECONDS):
                while TICK not in {name for _, name, _ in note.awards}:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{text}: no tick\n{self.log()}") from None

    def notes(self, mr: StoredMergeRequest, kind: MarkerKind) -> dict[str, StoredNote]:
        """Return the bot's notes of a kind, by the id in their marker."""
        written = ((marker_of(note.body), note) for note in mr.notes if note.author is self.fake.bot)
        return {marker.id: note for marker, note in written if marker and marker.kind is kind}

    def findings(self, mr: StoredMergeRequest) -> dict[str, Thread]:
        """Return the threads of findings by the line of code that they stand on."""
        lines = self.after[ORDERS].splitlines()
        marks = {id(note) for note in self.notes(mr, MarkerKind.FINDING).values()}
        found = [thread for thread in mr.threads if id(thread.notes[0]) in marks]
        return {lines[int(str((t.notes[0].position or {})["new_line"])) - 1].strip(): t for t in found}

    def summary(self, mr: StoredMergeRequest) -> str:
        (note,) = self.notes(mr, MarkerKind.SUMMARY).values()
        return note.body


@pytest.mark.parametrize("language", Language)
def test_the_story(language: Language, tmp_path: Path) -> None:
    """Each step does what its page says it does, in the project's language."""

    async def main() -> None:
        async with place(tmp_path, language) as (at, editor_settings):
            mr = at.fake.add_merge_request(at.project, at.after, author=at.developer, branch="export")

            await at.say(mr, at.developer, "/review")
            found = at.findings(mr)
            assert len(found) >= 3, list(found)
            assert bool(JAPANESE.search(at.summary(mr))) is (language is Language.JA)
            (shell,) = (code for code in found if SHELL in code)
            assert FLAW.strip() in found
            other = next(code for code in found if code not in (shell, FLAW.strip()))

            await dismiss_in_the_editor(at, editor_settings, shell)
            fixed = {**at.after, ORDERS: at.after[ORDERS].replace(FLAW, FIX)}
            at.fake.push(at.project, mr, fixed)
            await at.say(mr, at.developer, "/review --full")
            assert at.findings(mr)[FLAW.strip()].notes[0].resolved_by is at.fake.bot
            assert sorted(at.findings(mr)) == sorted(found)  # nothing is said twice, nothing new

            await at.say(mr, at.developer, "/feedback bad", at.findings(mr)[other])

            await at.say(mr, at.maintainer, "/retrain")
            async with asyncio.timeout(SECONDS):
                while not (told := results(at, mr)):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            version = re.findall(r"`([\w.-]+-[0-9a-f]{12})`", told)[0]
            assert f"]({next(iter(at.project.uploads))})" in told
            assert starter_version() in told

            again = at.fake.add_merge_request(at.project, at.after, author=at.developer, branch="again")
            await at.say(again, at.developer, "/review")
            assert version in at.summary(again), (told, at.summary(again))
            await at.say(again, at.maintainer, "/rollback")
            await at.say(again, at.developer, "/review --full")
            assert starter_version() in at.summary(again)
            assert shell not in at.findings(again)  # dismissed in the editor, long ago
            assert other not in at.findings(again)  # and this was bad

    asyncio.run(main())


def results(at: Story, mr: StoredMergeRequest) -> str:
    """Return what was said of the training's end, if it has ended."""
    notes = at.notes(mr, MarkerKind.TRAINING)
    return "".join(note.body for name, note in notes.items() if name.endswith("-result"))


def starter_version() -> str:
    directory = starter_adapter()
    assert directory is not None
    from engine.adapters import load_adapter

    return load_adapter(directory).version


async def dismiss_in_the_editor(at: Story, settings: dict[str, object], code: str) -> None:
    """Open the change in an editor of one's own, and say of one finding that it will not be fixed."""
    repository = Repository(at.folder / "clone")
    repository.git("init", "-q")
    for files, message in ((at.before, "before"), (at.after, "")):
        for name, text in files.items():
            path = repository.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if message:
            repository.commit(message)
    line = next(n for n, text in enumerate(at.after[ORDERS].splitlines(), 1) if text.strip() == code)
    locale = at.language.value
    async with editing(repository.root, settings, home=at.folder / "home", locale=locale) as editor:
        uri = editor.open(repository.root / ORDERS)
        async with asyncio.timeout(SECONDS):
            editor.save(uri)
            while line not in editor.lines(uri):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        shown = editor.diagnostics[uri]["diagnostics"]
        (mark,) = (d["data"]["fingerprint"] for d in shown if d["range"]["start"]["line"] == line - 1)
        await editor.command("wontFix", uri=uri, fingerprint=mark)
        await editor.until(lambda: line not in editor.lines(uri))
        await editor.until(lambda: editor.statuses()[-1]["pendingFeedback"] == 0)


@asynccontextmanager
async def place(folder: Path, language: Language) -> AsyncIterator[tuple[Story, dict[str, object]]]:
    """Give a project with a history, an engine with its champion, and a bot that is registered."""
    tokens = TokenFile(folder / "tokens.json")
    reviewer, admin, editor = (tokens.create(role) for role in (Role.REVIEWER, Role.ADMIN, Role.REVIEWER))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BOT_", "ENGINE_"))}
    kept |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ENGINE_DATA_DIR": str(folder / "store")}
    (folder / "retrain.toml").write_text(SETTINGS)
    async with FakeGitLab() as fake:
        people = [fake.add_person(name) for name in ("dan", "mia", "sid")]
        project = fake.add_project(PATH)
        at = Story(fake, project, people[0], people[1], language, folder)
        project.members |= {people[0].id: 30, people[1].id: 40}
        fake.world.commit(project, project.default_branch, at.before)
        remember(at, World(fake, project, people[1], people[0], people[2]))
        starter = str(starter_adapter())
        await done(kept, folder, "engine", "adapters", "import", starter, "--project", PATH)
        await done(kept, folder, "engine", "adapters", "promote", starter_version(), "--project", PATH)
        serve = ("serve", "--tokens", str(folder / "tokens.json"))
        async with running(kept, folder, "engine", *serve) as engine:
            bot = kept | {
                "BOT_GITLAB_URL": fake.url,
                "BOT_GITLAB_TOKEN": fake.bot.token,
                "BOT_ENGINE_URL": engine,
                "BOT_ENGINE_TOKEN": reviewer,
                "BOT_ENGINE_ADMIN_TOKEN": admin,
                "BOT_DATA_DIR": str(folder / "bot"),
                "BOT_WEBHOOK_SECRETS": json.dumps([SECRET]),
                "BOT_RETRAIN": "true",
                "BOT_RETRAIN_SETTINGS": str(folder / "retrain.toml"),
            }
            (folder / "token").write_text(people[1].token)
            async with running(bot, folder, "bot", "serve") as address:
                register = (f"{address}/webhook", "--project", PATH, "--token-file", str(folder / "token"))
                assert "made" in await done(bot, folder, "bot", "register", *register)
                yield at, {"engineUrl": engine, "engineToken": editor, "project": PATH, "scope": "head"}


def remember(at: Story, w: World) -> None:
    """Give the project merge requests that were merged, each with a remark and a hunk without one."""
    for number in range(8):
        flawed = [f"a{number}_{row} = {row}" for row in range(5)]
        flawed[2] = f"handle_{number} = open_file({number})"
        cart = SOLD.replace("item_3 = 3\n", "\n".join(flawed) + "\n")
        cart = cart.replace(
            "item_20 = 20\n", "".join(f"b{number}_{row} = load({number}, {row})\n" for row in range(6))
        )
        mr = w.open_mr({**at.before, CART: cart})
        w.say(mr, f"Close handle {number} when it is done with.", CART, new_line=5)
        mr.state = "merged"


@asynccontextmanager
async def running(environment: dict[str, str], folder: Path, module: str, *words: str) -> AsyncIterator[str]:
    """Run a service until the end of the block, and give its address."""
    log = folder / f"{module}.log"
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *words, "--port", "0"),
            cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=stream,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 120)).decode()
        assert "listening" in line, log.read_text()[-3000:]
        yield line.split()[-1].rstrip("/")
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)
    assert "Traceback" not in log.read_text(), log.read_text()[-5000:]


async def done(environment: dict[str, str], folder: Path, module: str, *words: str) -> str:
    """Run a command that ends well, and return what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *words), cwd=folder, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()
