"""Questions, feedback and adapters by way of the engine's API; see `bot.engine`. Reviews: `bot.reviewer`."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.connecting import proxy_for
from engine.curves import LossCurve
from engine.errors import ConfigError, Unreachable
from engine.feedback import Feedback
from engine.lifecycle import RegisteredAdapter
from engine.refusals import refusal_of
from engine.wire import Answer, Question

CA_SETTING = "BOT_ENGINE_CA_FILE"
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 300
_MOST_BYTES = 4 * 2**20
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where an engine is, and how to reach it."""

    url: str
    token: str = field(default="", repr=False)
    ca_file: Path | None = None  # None: the system's certificates
    admin_token: str = field(default="", repr=False)  # with it, what serves is changed; "": by nobody here


class _Adapters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    adapters: tuple[RegisteredAdapter, ...]


class _Feedback(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    feedback: tuple[Feedback, ...]


class EngineClient:
    """Asks an engine. Used as a context: it keeps its connections until the end."""

    def __init__(self, address: EngineAddress) -> None:
        self._address = address
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        headers = {"Accept": "application/json, application/problem+json"}
        if self._address.token:
            headers["Authorization"] = f"Bearer {self._address.token}"
        connector = aiohttp.TCPConnector(ssl=_tls(self._address.ca_file))
        self._session = aiohttp.ClientSession(
            timeout=timeout, headers=headers, connector=connector, proxy=proxy_for(self._address.url)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, question: Question) -> Answer:
        """Return the model's answer."""
        body = question.model_dump(mode="json", exclude_defaults=True)
        return await self._call("POST", "/v1/ask", Answer, body=body)

    async def record(self, feedback: Feedback) -> None:
        """Keep what somebody thinks of a finding."""
        await self._call("POST", "/v1/feedback", Feedback, body=feedback.model_dump(mode="json"))

    async def adapters(self, project: str) -> tuple[RegisteredAdapter, ...]:
        """Return the adapters of a project, the newest first."""
        found = await self._call("GET", "/v1/adapters", _Adapters, query={"project": project})
        return found.adapters

    async def curve(self, project: str, version: str) -> LossCurve:
        """Return the loss of an adapter's training; without points where it was not recorded."""
        return await self._call("GET", f"/v1/adapters/{version}/curve", LossCurve, query={"project": project})

    async def roll_back(self, project: str, version: str) -> RegisteredAdapter:
        """Return the adapter that serves again."""
        body = {"project": project, "version": version}
        return await self._call("POST", "/v1/adapters/roll-back", RegisteredAdapter, body=body, admin=True)

    async def feedback(self, project: str) -> tuple[Feedback, ...]:
        """Return what people said of findings in a project, the latest first; needs the role trainer."""
        found = await self._call("GET", "/v1/feedback", _Feedback, query={"project": project}, admin=True)
        return found.feedback

    async def is_ready(self) -> bool:
        """Tell whether the engine takes reviews on; raises EngineError where none answers."""
        status, _, _ = await self._send("GET", "/readyz", None, None)
        return status == 200

    async def require_access(self) -> None:
        """Raise AccessRefused unless the engine takes our token."""
        status, headers, data = await self._send("GET", "/v1/reviews/none", None, None)
        if status in (401, 403):
            raise refusal_of(status, headers, data).error

    async def _call(
        self,
        method: str,
        path: str,
        model: type[_Model],
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        admin: bool = False,
    ) -> _Model:
        status, headers, data = await self._send(method, path, body, query, admin=admin)
        if status >= 300:
            raise refusal_of(status, headers, data).error
        try:
            return model.model_validate_json(data)
        except ValidationError as error:
            raise Unreachable(f"the engine answers {path} as this version does not understand") from error

    async def _send(
        self, method: str, path: str, body: object, query: Mapping[str, str] | None, *, admin: bool = False
    ) -> tuple[int, Message, bytes]:
        if self._session is None:
            raise Unreachable("the bot is stopping")
        url = self._address.url.rstrip("/") + path
        options: dict[str, Any] = {"json": body} if body is not None else {}
        if admin and self._address.admin_token:
            options["headers"] = {"Authorization": f"Bearer {self._address.admin_token}"}
        try:
            async with self._session.request(
                method, url, params=query, allow_redirects=False, **options
            ) as answer:
                data = await answer.content.read(_MOST_BYTES + 1)
                if len(data) > _MOST_BYTES:
                    raise Unreachable(f"the engine answers {path} with more than {_MOST_BYTES} bytes")
                return answer.status, _message(answer.headers), data
        except TimeoutError as error:
            raise Unreachable(f"{self._address.url} does not answer in time") from error
        except aiohttp.ClientConnectorCertificateError as error:
            said = getattr(error.certificate_error, "verify_message", "its certificate is not trusted")
            raise Unreachable(f"{self._address.url}: {said}; {CA_SETTING} names what to trust") from error
        except aiohttp.ClientError as error:
            raise Unreachable(f"cannot reach {self._address.url}: {type(error).__name__}") from error


def _tls(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(f"{CA_SETTING}: {ca_file}: {error}") from error


def _message(headers: Mapping[str, str]) -> Message:
    message = Message()
    for name, value in headers.items():
        message[name] = value
    return message
