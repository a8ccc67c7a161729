"""The champion changes while reviews run: none is lost, and each is read by one adapter to its end."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from serving import Serve, Served, diff_of, finding_evals

from engine.adapters import Adapter, load_adapter
from engine.api import adapters
from engine.runners import WriteRequest
from engine.server import ServerOptions
from engine.settings import EngineSettings
from engine.store.opening import Store, open_store
from engine.store.projects import StoredProjects
from engine.testing import FakeRunner

MakeAdapter = Callable[..., Path]
P = "group/app"
FLYING = 16
DIFF = "".join(diff_of(f"f{n}.py", *(f"y{n} = eval({line})" for line in range(30))) for n in range(6))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(EngineSettings(data_dir=tmp_path / "data")) as opened:
        yield opened


class Models:
    """Loads a fake model for each adapter, and knows how many there are at once; all wait while held."""

    def __init__(self) -> None:
        self.hold = Event()
        self.loaded: Counter[str] = Counter()
        self.most = 0
        self._alive: list[FakeRunner] = []

    def load(self, adapter: Adapter | None) -> FakeRunner:
        version = adapter.version if adapter else ""
        self.loaded[version] += 1

        def write(request: WriteRequest) -> str:
            return json.dumps({"severity": "minor", "message": f"{version}: {request.suffix.strip()}"})

        runner = finding_evals(replies=write, adapter=version, hold=self.hold)
        self._alive = [*(other for other in self._alive if not other.closed), runner]
        self.most = max(self.most, len(self._alive))
        return runner


def review(served: Served) -> dict[str, Any]:
    answer = served.call("POST", "/v1/reviews", {"diff": DIFF, "project": P})
    assert answer.status == 200, answer.body
    return answer.json


def wait_until(met: Callable[[], bool]) -> None:
    while not met():
        time.sleep(0.002)


def test_no_review_is_lost_while_the_champion_changes(
    serve: Serve, store: Store, make_adapter: MakeAdapter
) -> None:
    """Sixteen reviews fly when another is promoted, sixteen more when it is rolled back."""
    models = Models()
    first, second = (load_adapter(make_adapter(fill=n)).version for n in (1, 2))
    for number in (1, 2):
        store.registry.import_adapter(make_adapter(fill=number), P)
    served = serve(
        models.load,
        projects=StoredProjects(store, None),
        more_routes=adapters.routes(store.registry),
        options=ServerOptions(drain_seconds=0.2),
    )
    assert served.call("POST", f"/v1/adapters/{first}/promote", {"project": P}).status == 200
    changes = ((f"/v1/adapters/{second}/promote", first, second), ("/v1/adapters/roll-back", second, first))
    with ThreadPoolExecutor(2 * FLYING) as pool:
        for path, before, after in changes:
            models.hold.clear()
            flying = [pool.submit(review, served) for _ in range(FLYING)]
            wait_until(lambda: served.engine.device.load()[0] == FLYING)
            # Answered though all that runs is held.
            assert served.call("POST", path, {"project": P}).json["version"] == after
            behind = [pool.submit(review, served) for _ in range(FLYING)]
            wait_until(lambda: served.engine.device.load()[0] == 2 * FLYING)
            models.hold.set()
            for futures, version in ((flying, before), (behind, after)):
                reviews = [future.result(300) for future in futures]
                assert {entry["adapter"] for entry in reviews} == {version}
                writers = {
                    finding["message"].split(":")[0] for entry in reviews for finding in entry["findings"]
                }
                assert writers == {version}
                assert not any(entry["partial"] for entry in reviews)
                assert len({len(entry["findings"]) for entry in reviews}) == 1
    assert served.engine.device.load() == (0, 0)
    assert models.most <= 2  # the default, and one other at a time
    assert threading.active_count() < 2 * FLYING + 80
