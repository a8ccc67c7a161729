"""The registry: what is let in, what each state allows, one champion whoever dies or hurries."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tiny_adapters import tiny_weights, write_tiny_adapter

from engine.adapters import CARD, CONFIG, MANIFEST, WEIGHTS, Manifest, load_adapter, write_manifest
from engine.errors import AdapterConflict, AdapterError, UnknownAdapter
from engine.lifecycle import Action, AdapterState, score_rows
from engine.store.database import open_database, sqlite_url
from engine.store.registry import Registry

MakeAdapter = Callable[..., Path]
ROOT = Path(__file__).parents[3]
P = "group/app"


@contextmanager
def registry_at(data: Path, url: str | None = None, verify_key: Path | None = None) -> Iterator[Registry]:
    database = open_database(url or sqlite_url(data / "tenken.db"))
    try:
        yield Registry(data, database, verify_key=verify_key)
    finally:
        database.close()


@pytest.fixture
def registry(tmp_path: Path, database_url: str) -> Iterator[Registry]:
    """An empty registry, on each kind of database."""
    with registry_at(tmp_path / "data", database_url) as opened:
        yield opened


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry on SQLite, where the kind of database does not matter."""
    with registry_at(tmp_path / "data") as opened:
        yield opened


def directories(registry: Registry) -> list[str]:
    """Return what stands below the registry's directory, without the lock."""
    return sorted(path.name for path in registry.files.root.iterdir() if path.name != ".lock")


def test_imported_adapter_is_a_whole_copy(registry: Registry, make_adapter: MakeAdapter) -> None:
    """An import makes a candidate under its version's name; its row is what the manifest says."""
    source = make_adapter(fill=7)
    adapter = registry.import_adapter(source, P)
    copy = load_adapter(registry.directory(adapter))
    assert (copy.version, adapter.state) == (adapter.version, AdapterState.CANDIDATE)
    assert adapter.version == load_adapter(source).version
    assert (adapter.scores, adapter.created) == ({"f1": 0.07}, copy.manifest.created)
    assert registry.list_adapters(P) == [adapter] == [registry.show(P, adapter.version)]
    assert directories(registry) == [adapter.version]


def test_second_import_changes_nothing(registry: Registry, make_adapter: MakeAdapter) -> None:
    """A champion that is imported again stays champion, with its scores and times."""
    source = make_adapter()
    promoted = registry.promote(P, registry.import_adapter(source, P).version)
    assert registry.import_adapter(source, P) == promoted


def test_projects_share_files_and_nothing_else(registry: Registry, make_adapter: MakeAdapter) -> None:
    """One adapter in two projects is one directory, two states, and goes with the last of them."""
    source = make_adapter()
    version = registry.import_adapter(source, "a").version
    registry.import_adapter(source, "b")
    registry.promote("a", version)
    assert registry.champion("b") is None
    registry.delete("b", version)
    assert directories(registry) == [version]
    with pytest.raises(UnknownAdapter, match="in project b"):
        registry.show("b", version)


def spoil_pickle(directory: Path) -> None:
    (directory / "adapter_model.bin").write_bytes(pickle.dumps({}))


def spoil_weights_with_pickle(directory: Path) -> None:
    (directory / WEIGHTS).write_bytes(pickle.dumps({"a": 1}))
    rewrite(directory)


def spoil_link(directory: Path) -> None:
    (directory / CARD).rename(directory.parent / "card")
    (directory / CARD).symlink_to(directory.parent / "card")


def spoil_pipe(directory: Path) -> None:
    (directory / CARD).unlink()
    os.mkfifo(directory / CARD)


def spoil_folder(directory: Path) -> None:
    (directory / "more").mkdir()


def spoil_hash(directory: Path) -> None:
    (directory / WEIGHTS).write_bytes(tiny_weights(99))


def spoil_config(directory: Path) -> None:
    (directory / CONFIG).write_text('{"peft_type": "LORA", "r": 1, "lora_alpha": 2, "use_dora": true}')
    rewrite(directory)


def spoil_tensors(directory: Path) -> None:
    (directory / WEIGHTS).write_bytes(tiny_weights().replace(b"lora_B", b"weight"))
    rewrite(directory)


def spoil_end(directory: Path) -> None:
    (directory / WEIGHTS).write_bytes(tiny_weights() + b"#!/bin/sh")
    rewrite(directory)


def spoil_size(directory: Path) -> None:
    (directory / CARD).write_bytes(bytes(2**22 + 1))
    rewrite(directory)


def spoil_all(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()


def rewrite(directory: Path) -> None:
    """Give what was spoiled a manifest that fits it: no hash gives it away."""
    write_manifest(directory, Manifest.model_validate_json((directory / MANIFEST).read_bytes()))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_pickle, r"no part of an adapter: adapter_model\.bin"),
        (spoil_weights_with_pickle, "not a safetensors file"),
        (spoil_link, "not a plain file"),
        (spoil_pipe, "not a plain file"),
        (spoil_folder, "no part of an adapter: more"),
        (spoil_hash, "sha256 differs"),
        (spoil_config, "DoRA"),
        (spoil_tensors, "holds no LoRA"),
        (spoil_end, "where its table says"),
        (spoil_size, "at most 4194304 are taken"),
        (spoil_all, "No such file"),
    ],
)
def test_unfit_adapter_is_refused(
    local: Registry, make_adapter: MakeAdapter, spoil: Callable[[Path], None], message: str
) -> None:
    """What is not the fixed set of plain files of a LoRA is named, and leaves nothing behind."""
    source = make_adapter()
    spoil(source)
    with pytest.raises(AdapterError, match=message):
        local.import_adapter(source, P)
    assert local.list_adapters() == []
    assert not local.files.root.exists() or directories(local) == []


def test_adapter_of_another_base_is_refused(local: Registry, make_adapter: MakeAdapter) -> None:
    """It would load and answer nonsense."""
    with pytest.raises(AdapterError, match=r"another base model, google/gemma-3-270m-it"):
        local.import_adapter(make_adapter(), P, base_sha256="1" * 64)


def test_export_comes_back_as_the_same_version(
    local: Registry, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    """What is exported is a directory that imports elsewhere, and never overwrites one."""
    version = local.import_adapter(make_adapter(), P).version
    target = local.export_adapter(P, version, tmp_path / "out" / "adapter")
    with registry_at(tmp_path / "elsewhere") as elsewhere:
        assert elsewhere.import_adapter(target, "q").version == version
    with pytest.raises(AdapterConflict, match="exists already"):
        local.export_adapter(P, version, target)


def test_leftovers_of_a_killed_import_are_swept(local: Registry, make_adapter: MakeAdapter) -> None:
    """A copy that was never finished goes with the next import."""
    local.files.root.mkdir(parents=True)
    write_tiny_adapter(local.files.root / ".incoming-x")
    version = local.import_adapter(make_adapter(), P).version
    assert directories(local) == [version]


def test_promotion_retires_the_one_before(registry: Registry, make_adapter: MakeAdapter) -> None:
    """There is one champion; history knows who came when, and by whom."""
    first, second = (registry.import_adapter(make_adapter(fill=n), P).version for n in (1, 2))
    registry.promote(P, first, actor="ann")
    assert registry.promote(P, second).state is AdapterState.CHAMPION
    assert registry.show(P, first).state is AdapterState.RETIRED
    assert registry.promote(P, second) == registry.champion(P)
    history = [(entry.version, entry.action, entry.actor) for entry in registry.history(P)]
    assert history == [(second, Action.PROMOTE, ""), (first, Action.PROMOTE, "ann")]


def test_roll_back_walks_down(registry: Registry, make_adapter: MakeAdapter) -> None:
    """Each roll back returns to the champion before, not to the one just left; then there is none."""
    versions = [registry.import_adapter(make_adapter(fill=n), P).version for n in (1, 2, 3)]
    for version in versions:
        registry.promote(P, version)
    assert registry.roll_back(P).version == versions[1]
    assert registry.roll_back(P).version == versions[0]
    with pytest.raises(AdapterConflict, match="no champion before"):
        registry.roll_back(P)
    assert registry.roll_back(P, versions[2]).version == versions[2]
    assert registry.roll_back(P).version == versions[1]


def test_roll_back_passes_what_cannot_serve(registry: Registry, make_adapter: MakeAdapter) -> None:
    """A champion that was rejected or deleted since is passed over."""
    versions = [registry.import_adapter(make_adapter(fill=n), P).version for n in (1, 2, 3, 4)]
    for version in versions:
        registry.promote(P, version)
    registry.reject(P, versions[2])
    registry.delete(P, versions[1])
    assert registry.roll_back(P).version == versions[0]


def test_states_refuse_what_they_do_not_allow(registry: Registry, make_adapter: MakeAdapter) -> None:
    """A rejected adapter never serves, the champion is neither deleted nor rejected."""
    champion, other = (registry.import_adapter(make_adapter(fill=n), P).version for n in (1, 2))
    with pytest.raises(AdapterConflict, match="never had a champion"):
        registry.roll_back(P)
    registry.promote(P, champion)
    with pytest.raises(AdapterConflict, match="never was champion"):
        registry.roll_back(P, other)
    registry.reject(P, other)
    for refused in (
        lambda: registry.promote(P, other),
        lambda: registry.roll_back(P, other),
        lambda: registry.roll_back(P, champion),
        lambda: registry.reject(P, champion),
        lambda: registry.delete(P, champion),
    ):
        with pytest.raises(AdapterConflict):
            refused()
    with pytest.raises(UnknownAdapter, match="no adapter nobody-1 in project group/app"):
        registry.promote(P, "nobody-1")
    assert registry.champion(P) == registry.show(P, champion)


def test_scores_stand_side_by_side(registry: Registry, make_adapter: MakeAdapter) -> None:
    """A score that one of them lacks is None; measurements made later are added."""
    first = registry.import_adapter(make_adapter(scores={"f1": 0.5}), P).version
    second = registry.import_adapter(make_adapter(scores={"f1": 0.6, "auc": 0.9}), P).version
    assert score_rows(registry.compare(P, [first, second])) == [("auc", [None, 0.9]), ("f1", [0.5, 0.6])]
    registry.record_scores(P, first, {"auc": 0.8})
    assert score_rows(registry.compare(P, [first, second]))[0] == ("auc", [0.8, 0.9])


def test_concurrent_promotions_leave_one_champion(registry: Registry, make_adapter: MakeAdapter) -> None:
    """Eight threads promote and roll back at once: all succeed, and history and state agree."""
    versions = [registry.import_adapter(make_adapter(fill=n), P).version for n in range(1, 5)]
    registry.promote(P, versions[0])

    def hurry(seed: int) -> None:
        for version in random.Random(seed).sample(versions, len(versions)):
            registry.promote(P, version)
            with suppress(AdapterConflict):  # someone else rolled all the way back
                registry.roll_back(P)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hurry, range(8)))
    champion = registry.champion(P)
    assert champion is not None
    assert registry.history(P)[0].version == champion.version


PROMOTE_FOR_EVER = """
import sys
from pathlib import Path
from engine.store.database import open_database
from engine.store.registry import Registry
data, url, project, *versions = sys.argv[1:]
registry = Registry(Path(data), open_database(url))
while True:
    for version in versions:
        registry.promote(project, version)
"""


def test_killed_promotion_happened_or_did_not(
    registry: Registry, make_adapter: MakeAdapter, database_url: str
) -> None:
    """kill -9 at any moment leaves one champion, and it is the one that history names last."""
    versions = [registry.import_adapter(make_adapter(fill=n), P).version for n in (1, 2, 3)]
    command = [sys.executable, "-c", PROMOTE_FOR_EVER, str(registry.data), database_url, P, *versions]
    for attempt in range(5):
        before = len(registry.history(P))
        with subprocess.Popen(command, cwd=ROOT) as process:
            while len(registry.history(P)) == before:
                time.sleep(0.01)
            time.sleep(0.007 * attempt)
            process.send_signal(signal.SIGKILL)
        registry.record_scores(P, versions[0], {})  # waits for what a server still does for the dead
        champions = registry.list_adapters(P, AdapterState.CHAMPION)
        history = registry.history(P)
        assert [adapter.version for adapter in champions] == [history[0].version]


def test_readers_see_a_champion_at_any_moment(registry: Registry, make_adapter: MakeAdapter) -> None:
    """While champions change, nobody ever finds none, or one without files."""
    versions = [registry.import_adapter(make_adapter(fill=n), P).version for n in (1, 2)]
    registry.promote(P, versions[0])
    done = threading.Event()
    together = threading.Barrier(3, timeout=60)
    seen = []

    def look() -> None:
        together.wait()
        while True:
            champion = registry.champion(P)
            seen.append(champion is not None and (registry.directory(champion) / MANIFEST).is_file())
            if done.is_set():
                return

    with ThreadPoolExecutor(2) as pool:
        looking = [pool.submit(look) for _ in range(2)]
        together.wait()
        for version in versions * 20:
            registry.promote(P, version)
        done.set()
        for future in looking:
            future.result()
    assert seen
    assert all(seen)


def test_concurrent_imports_and_deletes_keep_rows_and_files_together(
    local: Registry, make_adapter: MakeAdapter
) -> None:
    """However imports and deletes of one adapter by two projects interleave, a row never lacks its files."""
    source = make_adapter()
    version = load_adapter(source).version

    def come_and_go(project: str) -> None:
        for _ in range(15):
            adapter = local.import_adapter(source, project)
            assert load_adapter(local.directory(adapter)).version == version
            local.delete(project, version)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(come_and_go, ["a", "b"]))
    assert (local.list_adapters(), directories(local)) == ([], [])


class Life(RuleBasedStateMachine):
    """A registry against a model of it: states by version, and the stack of champions."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        self.sources = [write_tiny_adapter(root / f"source{n}", fill=n) for n in range(1, 4)]
        self.versions = [load_adapter(source).version for source in self.sources]
        self.opened = registry_at(root / "data")
        self.registry = self.opened.__enter__()
        self.states: dict[str, AdapterState] = {}
        self.stack: list[str] = []  # champions, the present one last

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            self.opened.__exit__(None, None, None)
            self.folder.cleanup()

    def crown(self, version: str) -> None:
        for known, state in self.states.items():
            if state is AdapterState.CHAMPION:
                self.states[known] = AdapterState.RETIRED
        self.states[version] = AdapterState.CHAMPION

    @rule(index=st.integers(0, 2))
    def import_one(self, index: int) -> None:
        adapter = self.registry.import_adapter(self.sources[index], P)
        assert adapter.state is self.states.setdefault(self.versions[index], AdapterState.CANDIDATE)

    @rule(index=st.integers(0, 2))
    def promote(self, index: int) -> None:
        version = self.versions[index]
        match self.states.get(version):
            case None:
                with pytest.raises(UnknownAdapter):
                    self.registry.promote(P, version)
            case AdapterState.REJECTED:
                with pytest.raises(AdapterConflict):
                    self.registry.promote(P, version)
            case state:
                self.registry.promote(P, version)
                if state is not AdapterState.CHAMPION:
                    self.crown(version)
                    self.stack.append(version)

    @rule()
    def roll_back(self) -> None:
        below = self.stack[:-1]
        while below and self.states.get(below[-1]) is not AdapterState.RETIRED:
            below.pop()
        if below:
            assert self.registry.roll_back(P).version == below[-1]
            self.crown(below[-1])
            self.stack = below
        else:
            with pytest.raises(AdapterConflict):
                self.registry.roll_back(P)

    @precondition(lambda self: self.states)
    @rule(data=st.data(), remove=st.booleans())
    def put_away(self, data: st.DataObject, remove: bool) -> None:
        version = data.draw(st.sampled_from(sorted(self.states)))
        act = self.registry.delete if remove else self.registry.reject
        if self.states[version] is AdapterState.CHAMPION:
            with pytest.raises(AdapterConflict):
                act(P, version)
            return
        act(P, version)
        if remove:
            del self.states[version]
        else:
            self.states[version] = AdapterState.REJECTED

    @invariant()
    def rows_are_the_models(self) -> None:
        if hasattr(self, "registry"):
            found = {adapter.version: adapter.state for adapter in self.registry.list_adapters(P)}
            assert found == self.states

    @invariant()
    def files_are_those_of_the_rows(self) -> None:
        if hasattr(self, "registry") and self.registry.files.root.exists():
            assert directories(self.registry) == sorted(self.states)


Life.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
TestLife = Life.TestCase
