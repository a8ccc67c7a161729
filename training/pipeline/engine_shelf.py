"""An engine elsewhere as the shelf: its API with a trainer's token, or an admin's, who may promote as well.

What did not get through is tried again: nothing here does harm when it is done twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import requests
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from engine.adapter_checks import MAX_BYTES
from engine.adapter_files import check_adapter
from engine.adapters import FILES, MANIFEST
from engine.connecting import Address, proxy_for
from engine.errors import (
    AccessRefused,
    AdapterError,
    NotReady,
    QueueFull,
    UnknownAdapter,
    Unreachable,
)
from engine.lifecycle import DEFAULT_PROJECT, AdapterState, RegisteredAdapter
from engine.refusals import refusal_of
from training.jsonl import replaced
from training.pipeline.shelf import starter_for

_TIMEOUT = (10.0, 300.0)
_ATTEMPTS = 6
_CHUNK = 2**18
_PASSING = (Unreachable, NotReady, QueueFull)
_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)


class _Adapters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    adapters: tuple[RegisteredAdapter, ...]


class EngineShelf:
    """Keeps adapters by way of an engine's API. `sleep` is the system's, or a test's."""

    def __init__(
        self,
        url: str,
        token: SecretStr | None,
        project: str,
        ca_file: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._at, self._project, self._sleep = str(Address.parse(url)), project, sleep
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(ca_file) if ca_file else True
        if proxy := proxy_for(url):
            self._session.proxies = {"http": proxy, "https": proxy}
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token.get_secret_value()}"

    def champion(self) -> str:
        """Return the version of the project's own champion."""
        found = self._champion(self._project)
        return found.version if found else ""

    def serving(self, base_sha256: str, target: Path) -> Path | None:
        """Return a downloaded copy, checked."""
        project = self._project
        found = self._champion(project)
        if found is None:
            project, found = DEFAULT_PROJECT, self._common_champion()
        if found is None or found.base_sha256 != base_sha256:
            return starter_for(base_sha256)
        directory = target / found.version
        directory.mkdir(parents=True, exist_ok=True)
        for name in (*FILES, MANIFEST):
            self._download(f"/v1/adapters/{found.version}/files/{name}", project, directory / name)
        if check_adapter(directory).version != found.version:
            raise AdapterError(f"{directory}: not the adapter that was asked for")
        return directory

    def feedback(self, target: Path) -> None:
        """Write all of the project's feedback."""
        self._download("/v1/feedback/export", self._project, target)

    def add(self, directory: Path) -> RegisteredAdapter:
        """Upload it."""

        def send() -> RegisteredAdapter:
            with ExitStack() as opened:
                parts = {
                    name: opened.enter_context((directory / name).open("rb")) for name in (*FILES, MANIFEST)
                }
                return self._read(
                    RegisteredAdapter,
                    self._ask("POST", "/v1/adapters", params={"project": self._project}, files=parts),
                )

        return self._patiently(send)

    def state(self, version: str) -> AdapterState | None:
        """Look it up."""
        try:
            return self._get(f"/v1/adapters/{version}", RegisteredAdapter, project=self._project).state
        except UnknownAdapter:
            return None

    def promote(self, version: str) -> None:
        """Promote it."""
        body, path = {"project": self._project}, f"/v1/adapters/{version}/promote"
        self._patiently(lambda: self._ask("POST", path, json=body))

    def _champion(self, project: str) -> RegisteredAdapter | None:
        found = self._get("/v1/adapters", _Adapters, project=project, state=AdapterState.CHAMPION.value)
        return found.adapters[0] if found.adapters else None

    def _common_champion(self) -> RegisteredAdapter | None:
        try:
            return self._champion(DEFAULT_PROJECT)
        except AccessRefused:  # a token of one project may not ask about others
            return None

    def _get(self, path: str, model: type[_Model], **query: str) -> _Model:
        return self._patiently(lambda: self._read(model, self._ask("GET", path, params=query)))

    def _download(self, path: str, project: str, target: Path) -> None:
        limit = MAX_BYTES.get(target.name)

        def receive() -> None:
            with replaced(target) as part, part.open("wb") as file:
                answer = self._ask("GET", path, params={"project": project}, stream=True)
                with answer:
                    for chunk in answer.iter_content(_CHUNK):
                        if limit is not None and file.tell() + len(chunk) > limit:
                            raise AdapterError(f"{target.name}: more than {limit} bytes")
                        file.write(chunk)

        self._patiently(receive)

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = self._session.request(
            method, self._at + path, timeout=_TIMEOUT, allow_redirects=False, **options
        )
        if answer.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            headers = Message()
            for name, value in answer.headers.items():
                headers[name] = value
            raise refusal_of(answer.status_code, headers, answer.content).error
        return answer

    def _read(self, model: type[_Model], answer: requests.Response) -> _Model:
        try:
            return model.model_validate(json.loads(answer.content))
        except (ValueError, ValidationError) as error:
            raise Unreachable(f"{self._at} answers as this version does not understand") from error

    def _patiently(self, act: Callable[[], _T]) -> _T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._translated(act)
            except _PASSING as error:
                if attempt == _ATTEMPTS:
                    raise
                self._sleep(getattr(error, "retry_after", 0) or 2.0**attempt)
        raise AssertionError("unreachable")

    def _translated(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except requests.RequestException as error:
            raise Unreachable(f"cannot reach {self._at}: {type(error).__name__}") from error
