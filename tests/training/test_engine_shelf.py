"""Adapters by way of an engine's API: brought, taken, promoted, by tokens that may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fast_training import BASE_SHA
from pydantic import SecretStr
from serving import Served, serving
from tiny_adapters import write_tiny_adapter

from engine.adapters import load_adapter
from engine.api import adapters, feedback
from engine.errors import AccessRefused, AdapterError, Unreachable
from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.lifecycle import DEFAULT_PROJECT, AdapterState
from engine.settings import EngineSettings
from engine.store.opening import Store, open_store
from engine.tokens import Role, TokenFile
from training.pipeline.engine_shelf import EngineShelf

P = "team/shop"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(EngineSettings(data_dir=tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


@pytest.fixture
def served(store: Store, tokens: TokenFile) -> Iterator[Served]:
    tokens.create(Role.REVIEWER)
    routes = (*adapters.routes(store.registry), *feedback.routes(store.feedback))
    with serving(tokens=tokens, more_routes=routes) as engine:
        yield engine


def shelf(
    served: Served, tokens: TokenFile, role: Role = Role.ADMIN, projects: tuple[str, ...] = ()
) -> EngineShelf:
    token = SecretStr(tokens.create(role, projects))
    return EngineShelf(served.url, token, P, sleep=lambda seconds: None)


def test_a_candidate_on_its_way_to_the_top(served: Served, tokens: TokenFile, tmp_path: Path) -> None:
    """Uploaded, twice without harm, promoted, and brought back as what serves."""
    at = shelf(served, tokens)
    source = write_tiny_adapter(tmp_path / "made")
    version = load_adapter(source).version
    assert at.champion() == ""
    assert at.state(version) is None
    assert at.serving(BASE_SHA, tmp_path / "champion") is None
    assert at.add(source).version == at.add(source).version == version
    assert at.state(version) is AdapterState.CANDIDATE
    at.promote(version)
    at.promote(version)
    assert (at.champion(), at.state(version)) == (version, AdapterState.CHAMPION)
    brought = at.serving(BASE_SHA, tmp_path / "champion")
    assert brought is not None
    assert load_adapter(brought).version == version
    assert at.serving("1" * 64, tmp_path / "other") is None


def test_the_common_champion_counts(served: Served, tokens: TokenFile, store: Store, tmp_path: Path) -> None:
    """Where a project has none of its own; a token of one project may not ask for it, and does without."""
    common = store.registry.import_adapter(write_tiny_adapter(tmp_path / "made"), DEFAULT_PROJECT)
    store.registry.promote(DEFAULT_PROJECT, common.version)
    brought = shelf(served, tokens).serving(BASE_SHA, tmp_path / "champion")
    assert brought is not None
    assert brought.name == common.version
    narrow = shelf(served, tokens, projects=(P,))
    assert narrow.serving(BASE_SHA, tmp_path / "narrow") is None
    assert narrow.champion() == ""


def test_a_trainer_may_not_promote(served: Served, tokens: TokenFile, tmp_path: Path) -> None:
    """It may upload and look."""
    at = shelf(served, tokens, Role.TRAINER)
    version = at.add(write_tiny_adapter(tmp_path / "made")).version
    with pytest.raises(AccessRefused):
        at.promote(version)
    assert at.state(version) is AdapterState.CANDIDATE


def test_what_is_damaged_is_not_taken(served: Served, tokens: TokenFile, tmp_path: Path) -> None:
    """The engine says why."""
    source = write_tiny_adapter(tmp_path / "made")
    (source / "README.md").write_text("changed")
    with pytest.raises(AdapterError, match="sha256 differs"):
        shelf(served, tokens).add(source)


def test_feedback_is_brought(served: Served, tokens: TokenFile, store: Store, tmp_path: Path) -> None:
    """That of the project alone."""
    for project in (P, "team/other"):
        store.feedback.record(
            Feedback(
                fingerprint="0" * 16,
                verdict=FeedbackVerdict.WRONG,
                project=project,
                source=FeedbackSource.MR,
            )
        )
    shelf(served, tokens).feedback(tmp_path / "feedback.jsonl")
    (line,) = (tmp_path / "feedback.jsonl").read_text().splitlines()
    assert json.loads(line)["project"] == P


def test_an_engine_that_is_away_is_asked_again(tmp_path: Path) -> None:
    """For a while; then that is the error."""
    pauses: list[float] = []
    at = EngineShelf("http://127.0.0.1:9", None, P, sleep=pauses.append)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        at.champion()
    assert pauses == [2, 4, 8, 16, 32]
