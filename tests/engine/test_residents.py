"""Which runners are loaded: memory is bounded, the default stays, the one used longest ago leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.adapters import Adapter, Manifest
from engine.residents import Residents
from engine.testing import FakeRunner


def adapter(name: str) -> Adapter:
    manifest = Manifest(name=name, base_model="b", base_sha256="0" * 64, dtype="f", rank=1, licence="l")
    return Adapter(Path(name), manifest, f"{name}-1")


class Loader:
    """Makes fake runners and remembers them."""

    def __init__(self) -> None:
        self.made: list[FakeRunner] = []

    def __call__(self, wanted: Adapter | None) -> FakeRunner:
        self.made.append(FakeRunner(adapter=wanted.version if wanted else ""))
        return self.made[-1]

    @property
    def open(self) -> list[str]:
        return [runner.adapter for runner in self.made if not runner.closed]


def test_a_loaded_adapter_is_reused() -> None:
    """The second call gives the same runner, and one load was measured."""
    load, seconds = Loader(), list[float]()
    residents = Residents(load, None, 2, seconds.append)
    assert residents.runner(adapter("a")) is residents.runner(adapter("a"))
    assert (len(load.made), len(seconds)) == (1, 1)


def test_the_one_used_longest_ago_leaves() -> None:
    """Three places: the default's and two more."""
    load = Loader()
    residents = Residents(load, adapter("d"), 3)
    for name in "dabac":
        residents.runner(adapter(name))
    assert sorted(load.open) == ["a-1", "c-1", "d-1"]


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_the_default_stays_and_memory_is_bounded(capacity: int) -> None:
    """Whatever is asked for, the default's tokenizer is never closed; one more is loaded at least."""
    load = Loader()
    residents = Residents(load, None, capacity)
    default = residents.default
    for name in "abcabc":
        residents.runner(adapter(name))
        assert len(load.open) <= max(2, capacity)
    assert residents.default is default
    assert not load.made[0].closed


def test_closing_frees_all() -> None:
    """Twice does no harm."""
    load = Loader()
    residents = Residents(load, None, 3)
    residents.runner(adapter("a"))
    residents.close()
    residents.close()
    assert load.open == []
