"""What /openapi.json says is what the engine does: generated requests, valid and not, against a live one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from serving import Serve, finding_evals

from engine.api import adapters, feedback
from engine.settings import EngineSettings
from engine.store.opening import open_store
from engine.store.projects import StoredProjects
from engine.tokens import Role, TokenFile

EXAMPLES = settings(
    max_examples=25,
    database=None,
    derandomize=True,  # the same requests each time, so that a failure can be looked at
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
# A text need not be a diff, nor a well-formed name a review: valid requests may be refused.
UNSUITABLE = ("positive_data_acceptance",)


@pytest.fixture
def described(serve: Serve, tmp_path: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """The description of a live engine, and the headers that open it."""
    tokens = TokenFile(tmp_path / "tokens.json")
    headers = {"Authorization": f"Bearer {tokens.create(Role.ADMIN)}"}
    with open_store(EngineSettings(data_dir=tmp_path / "data")) as store:
        routes = (*adapters.routes(store.registry), *feedback.routes(store.feedback))
        served = serve(
            finding_evals(), tokens=tokens, projects=StoredProjects(store, None), more_routes=routes
        )
        schema = schemathesis.openapi.from_dict(served.call("GET", "/openapi.json").json)
        schema.config.update(base_url=served.url)
        yield schema, headers


@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
@pytest.mark.parametrize("mode", GenerationMode)
def test_every_operation_keeps_its_description(
    described: tuple[Any, dict[str, str]], mode: GenerationMode
) -> None:
    """No 5xx, no status, media type or body that is not described, nothing invalid taken for valid."""
    schema, headers = described
    load_all_checks()
    excluded = list(CHECKS.get_by_names(UNSUITABLE))
    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.path_parameters):
            continue

        @EXAMPLES
        @given(operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            case.call_and_validate(headers=headers, excluded_checks=excluded, timeout=120)

        check()
        count += 1
    assert count >= (7 if mode is GenerationMode.POSITIVE else 3)
