"""From settings to vLLM: command line, service and doctor work with it as with the embedded model."""

from __future__ import annotations

import argparse
import functools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from serving import diff_of, serving
from test_openai_adapters import write_adapter
from vllm_server import Fault, VllmServer, serving_vllm

from engine.__main__ import main
from engine.adapters import Adapter, Manifest, write_manifest
from engine.batching import Limits
from engine.cli import serve
from engine.client import HttpReviewClient
from engine.doctor import Check, Health, examine
from engine.errors import AdapterError, ConfigError
from engine.opening import base_sha256_of, batch_limits, open_runner
from engine.runners.openai import OpenAIRunner
from engine.server import ServerOptions
from engine.settings import EngineSettings
from engine.wire import ReviewRequest

pytest.importorskip("filelock")

KEY = "sk-very-secret"
DIFF = "".join(diff_of(f"{name}.py") for name in "abcdef")


@pytest.fixture
def vllm() -> Iterator[VllmServer]:
    """A server that wants a key."""
    with serving_vllm(key=KEY) as server:
        yield server


@pytest.fixture
def settings(vllm: VllmServer, tmp_path: Path) -> EngineSettings:
    """Settings of a machine whose model is on the server."""
    return settings_of(vllm, tmp_path)


def settings_of(vllm: VllmServer, folder: Path, **more: Any) -> EngineSettings:
    given = {
        "runner": "openai",
        "openai_urls": vllm.url,
        "openai_model": "toy",
        "openai_key": KEY,
        "data_dir": folder / "data",
        "cache_dir": folder / "cache",
    }
    return EngineSettings.model_validate(given | more)


def packed(directory: Path, base: str = "toy", tasks: tuple[str, ...] = ("score", "write")) -> Adapter:
    write_adapter(directory)
    given = {"name": "team", "base_model": base, "base_sha256": "0" * 64, "dtype": "bfloat16", "rank": 8}
    return write_manifest(directory, Manifest.model_validate(given | {"tasks": tasks, "licence": "none"}))


def test_the_runner_is_that_of_the_settings(settings: EngineSettings, tmp_path: Path) -> None:
    """With the adapter's version as its name, published where the servers look."""
    adapter = packed(tmp_path / "adapter")
    runner = open_runner(settings, adapter)
    assert isinstance(runner, OpenAIRunner)
    assert (runner.base_model, runner.adapter) == ("toy", adapter.version)
    [published] = [path for path in (tmp_path / "data" / "served").iterdir() if path.is_dir()]
    assert published.name.startswith("tenken-")
    runner.close()


def test_an_adapter_serves_its_own_tasks(settings: EngineSettings, vllm: VllmServer, tmp_path: Path) -> None:
    """What it was not trained for is the base model's."""
    runner = open_runner(settings, packed(tmp_path / "adapter", tasks=("write",)))
    assert isinstance(runner, OpenAIRunner)
    assert (runner._name(runner._options.score_adapter), len(vllm.loaded)) == ("toy", 1)
    runner.close()


def test_an_adapter_of_another_base_is_refused(
    settings: EngineSettings, vllm: VllmServer, tmp_path: Path
) -> None:
    """By its name: no server says what its weights are."""
    with pytest.raises(AdapterError, match="is made for gemma, not for toy"):
        open_runner(settings, packed(tmp_path / "adapter", base="gemma"))
    assert vllm.seen == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"openai_urls": ""}, "ENGINE_OPENAI_URLS"),
        ({"openai_model": None}, "ENGINE_OPENAI_MODEL"),
        ({"openai_key": "two words"}, "ENGINE_OPENAI_KEY"),
        ({"openai_key": "line\nend"}, "ENGINE_OPENAI_KEY"),
        ({"openai_key": "鍵"}, "ENGINE_OPENAI_KEY"),
        ({"openai_urls": "localhost:8000"}, "http"),
        ({"ca_file": Path("/nowhere.pem"), "openai_urls": "https://localhost"}, "nowhere.pem"),
    ],
)
def test_settings_that_cannot_work_are_named(
    vllm: VllmServer, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    """Before anything is sent, and without the key."""
    with pytest.raises(ConfigError, match=reason) as raised:
        open_runner(settings_of(vllm, tmp_path, **change), None)
    assert str(change.get("openai_key")) not in str(raised.value)


def test_addresses_are_split_at_commas_and_blanks(vllm: VllmServer, tmp_path: Path) -> None:
    """As they come out of an environment variable."""
    settings = settings_of(vllm, tmp_path, openai_urls=" http://a:1, http://b:1\nhttp://c:1 ")
    assert settings.openai_urls == ("http://a:1", "http://b:1", "http://c:1")
    assert batch_limits(settings).score == 3 * settings.openai_requests


def test_the_embedded_models_hash_says_nothing_of_the_servers(settings: EngineSettings) -> None:
    """An adapter for another base than the installed one can be imported."""
    assert base_sha256_of(settings) is None


def test_a_review_on_the_command_line(
    vllm: VllmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output is the report alone, also when a server has to rest first."""
    for name, value in settings_of(vllm, tmp_path).model_dump(exclude_defaults=True).items():
        text = KEY if name == "openai_key" else " ".join(value) if isinstance(value, tuple) else str(value)
        monkeypatch.setenv(f"ENGINE_{name.upper()}", text)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "change.diff").write_text(DIFF)
    greeted: list[str] = []

    def be_busy_next(path: str, answer: Any) -> Any:
        if path == "/v1/completions" and not greeted:
            greeted.append(path)
            vllm.faults[path] = [Fault(503, b"")]
        return answer

    vllm.twist = be_busy_next
    code = main(["review", "--diff", "change.diff", "--format", "json", "--adapter", "none"])
    printed = capsys.readouterr()
    review = json.loads(printed.out)
    assert code == 0
    assert '"event": "openai.server_rests"' in printed.err
    assert review["base_model"] == "toy"
    assert {file["path"] for file in review["coverage"]} == {f"{name}.py" for name in "abcdef"}


def test_a_service_takes_its_batches_from_the_settings(settings: EngineSettings) -> None:
    """`tenken serve` hands the servers what they take at once, and keeps many adapters: they are light."""
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    elsewhere = serve._options(parser.parse_args([]), settings)
    here = serve._options(parser.parse_args([]), EngineSettings())
    assert (elsewhere.batches, elsewhere.residents) == (batch_limits(settings), 64)
    assert (here.batches, here.residents) == (Limits(), 2)


def test_a_service_hands_over_batches(settings: EngineSettings, vllm: VllmServer) -> None:
    """Chunks of a review are scored side by side, and the review is whole."""
    options = ServerOptions(batches=batch_limits(settings))
    with serving(functools.partial(open_runner, settings), options=options) as engine:
        vllm.hold = threading.Event()
        with ThreadPoolExecutor() as pool:
            together = pool.submit(_let_go, vllm, 4)
            review = HttpReviewClient(engine.url).review(ReviewRequest(diff=DIFF))
    assert (review.base_model, review.partial, len(review.coverage)) == ("toy", False, 6)
    assert together.result() == 4  # as many chunks as a review scores before it writes


def _let_go(vllm: VllmServer, count: int) -> int:
    """Hold the server's answers until it has `count` requests at once, and return how many it has."""
    assert vllm.hold is not None
    try:
        for _ in range(count):
            assert vllm.waiting.acquire(timeout=60)
        return vllm.running
    finally:
        vllm.hold.set()


def examined(settings: EngineSettings, folder: Path) -> dict[str, Check]:
    return {check.name: check for check in examine(settings, folder)}


def test_the_doctor_visits_every_server(settings: EngineSettings, vllm: VllmServer, tmp_path: Path) -> None:
    """Each is named with its version or what is wrong; the embedded model is no matter."""
    with serving_vllm(key="another") as locked:
        both = settings.model_copy(update={"openai_urls": (vllm.url, locked.url)})
        checks = examined(both, tmp_path)
    assert checks["server"].detail == f"toy at {vllm.url}, version 0.33.0"
    assert checks["server 2"].health is Health.PROBLEM
    assert "ENGINE_OPENAI_KEY" in checks["server 2"].detail
    assert "base model" not in checks
    assert KEY not in repr(checks)


def test_the_doctor_knows_what_vllm_serves(settings: EngineSettings, tmp_path: Path) -> None:
    """An adapter for another base, or of a kind that vLLM refuses, is a problem before the first review."""
    other = packed(tmp_path / "other", base="gemma")
    check = examined(settings.model_copy(update={"adapter_dir": other.path}), tmp_path)["adapter"]
    assert (check.health, "not for toy" in check.detail) == (Health.PROBLEM, True)
    good = packed(tmp_path / "good")
    check = examined(settings.model_copy(update={"adapter_dir": good.path}), tmp_path)["adapter"]
    assert check.health is Health.OK


def test_the_doctor_names_missing_settings(settings: EngineSettings, tmp_path: Path) -> None:
    """Without an address there is nothing to visit."""
    check = examined(settings.model_copy(update={"openai_urls": ()}), tmp_path)["servers"]
    assert (check.health, "ENGINE_OPENAI_URLS" in check.detail) == (Health.PROBLEM, True)
