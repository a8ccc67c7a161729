"""What a team does in a day, in processes of their own with the real model; below the warden: PART FOLDER.

GitLab is the fake one, in this process. Everything else is what people start: `tenken serve`, `tenken-bot
serve`, `tenken-lsp`, `tenken review`, `tenken feedback` and the stages of `tenken-train`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
_HELPERS = ("", "bot", "lsp", "training", "engine/finetune")
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in _HELPERS]

import editors  # noqa: E402
from bot_world import SECRET, Asking, World  # noqa: E402
from editors import editing  # noqa: E402
from git_repository import Repository  # noqa: E402

from bot.fake_gitlab import FakeGitLab  # noqa: E402
from bot.markers import MarkerKind, marker_of  # noqa: E402

BEFORE = "x = 1\n"
AFTER = "import hashlib\n\n\ndef token(mail):\n    return hashlib.md5(mail).hexdigest()\n"
_SECONDS = 240  # on a busy machine; it takes a few


def run(module: str, *words: object) -> str:
    """Return what a program printed."""
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{module} {words}: {done.stdout[-1000:]}{done.stderr[-3000:]}"
    return done.stdout


@asynccontextmanager
async def engine(folder: Path) -> AsyncIterator[str]:
    """Give the address of `tenken serve` with the real model."""
    with (folder / "engine.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine", "serve", "--port", "0"),
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=log,
            env={**os.environ, "ENGINE_DATA_DIR": str(folder / "data")},
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _SECONDS)
        yield line.decode().removeprefix("tenken: listening on ").strip()
    finally:
        process.terminate()
        await process.wait()


async def merge_request(fake: FakeGitLab, url: str, folder: Path) -> None:
    """A merge request is opened and `/review` is said; findings come, and a summary."""
    project = fake.add_project(files={"app.py": BEFORE})
    author = fake.add_person("author")
    project.members[author.id] = 30
    at = World(fake, project, author, folder, url, f"sqlite:///{folder}/bot.db")
    at.settings["PYTHONPATH"] = os.environ["PYTHONPATH"]
    try:
        await at.add_bot()
        mr = fake.add_merge_request(project, {"app.py": AFTER}, author=author)
        _, note = fake.as_person(author, project, mr).note("/review")
        asking = Asking(mr, note, 0)
        await at.until_done([asking], _SECONDS)
        kinds = [marker.kind for note in mr.notes if (marker := marker_of(note.body))]
        assert asking.is_done, (folder / "one.log").read_text()[-3000:]
        assert kinds.count(MarkerKind.SUMMARY) == 1
        assert MarkerKind.FINDING in kinds
        assert SECRET not in (folder / "one.log").read_text()
    finally:
        for bot in at.bots:
            await bot.kill()


async def editor(url: str, folder: Path) -> None:
    """A file is changed and saved; its findings are shown."""
    repository = Repository(folder / "repository")
    repository.git("init", "-q", "-b", "main")
    repository.commit(app=BEFORE)
    settings = {"engineUrl": url, "project": "team/app"}
    environment = {"PYTHONPATH": os.environ["PYTHONPATH"]}
    editors.SECONDS = _SECONDS
    async with editing(repository.root, settings, home=folder / "home", **environment) as person:
        uri = person.open(repository.root / "app.py")
        person.edit(uri, 2, AFTER)
        person.save(uri, AFTER)
        await person.until(lambda: person.lines(uri))
        assert await person.end() == 0


def command_line(url: str, folder: Path) -> None:
    """A diff is reviewed, by that engine and by the model in the process."""
    rows = AFTER.splitlines(keepends=True)
    diff = folder / "change.diff"
    diff.write_text(f"--- /dev/null\n+++ b/app.py\n@@ -0,0 +1,{len(rows)} @@\n+{'+'.join(rows)}")
    words = ("review", "--diff", diff, "--format", "json")
    elsewhere = json.loads(run("engine", *words, "--engine", url))
    here = json.loads(run("engine", *words))
    found = [{finding["fingerprint"] for finding in review["findings"]} for review in (elsewhere, here)]
    assert found[0] == found[1] != set()


def history(folder: Path) -> None:
    """A project's history is collected from GitLab and becomes data."""
    from history_world import world
    from test_history_commands import SETTINGS
    from test_history_commands import history as talk

    settings = folder / "history.toml"
    settings.write_text(SETTINGS)
    with world() as told:
        talk(told)
        os.environ["TENKEN_GITLAB_TOKEN"] = told.fake.bot.token
        words = ("collect", "--url", told.fake.url, "--project", "team/shop", "--settings", settings)
        run("training", *words, "--out", folder / "0")
    for number, name in enumerate(("redact", "curate", "label", "split"), start=1):
        words = (name, "--data", folder / str(number - 1), "--out", folder / str(number))
        run("training", *words, "--settings", settings)
    assert (folder / "4" / "items.jsonl").stat().st_size


def training(folder: Path) -> None:
    """An adapter is trained, of a tiny model, with the libraries that would like to ask their hub."""
    from tiny_gemma import make_tiny_gemma, make_tiny_rows

    from engine.finetune.settings import Backend, FinetuneSettings

    base, rows = make_tiny_gemma(folder / "base"), folder / "rows.jsonl"
    rows.write_text("".join(f"{row.model_dump_json()}\n" for row in make_tiny_rows()))
    backend = Backend.UNSLOTH if find_spec("unsloth") else Backend.TRL
    settings = FinetuneSettings(backend=backend, rank=4, max_steps=4, batch_tokens=128, eval_steps=2)
    script = ROOT / "tests" / "engine" / "finetune" / "train_tiny.py"
    command = [sys.executable, script, base, rows, folder / "out", settings.model_dump_json()]
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=550, check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "UNSLOTH_CPU_BF16": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "out" / "adapter" / "adapter_model.safetensors").is_file()


async def day(folder: Path) -> None:
    """Live a day of reviews."""
    async with engine(folder) as url, FakeGitLab() as fake:
        await merge_request(fake, url, folder)
        await editor(url, folder)
        await asyncio.to_thread(command_line, url, folder)


if __name__ == "__main__":
    place = Path(sys.argv[2])
    if sys.argv[1] == "reviews":
        asyncio.run(day(place))
    elif sys.argv[1] == "history":
        history(place)
    else:
        training(place)
