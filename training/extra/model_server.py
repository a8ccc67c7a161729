"""A local OpenAI-compatible server, asked for JSON. No address outside the own network is ever asked."""

from __future__ import annotations

import ipaddress
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from engine.errors import InputError
from training.errors import ServerFailed

_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class ModelServer:
    """Where a model is served. Raises InputError for an address that is not of the own network."""

    url: str  # up to and with /v1
    model: str
    temperature: float = 0.8
    option: str = "--server"  # by which the address was given

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{self.option} {self.url}: not an address of a server")
        try:
            found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
        except OSError as error:
            raise InputError(f"{self.option} {self.url}: {error}") from error
        outside = [host[4][0] for host in found if not _is_inside(str(host[4][0]))]
        if outside:
            raise InputError(
                f"{self.option} {self.url}: {outside[0]} is not in the own network; code stays inside"
            )

    def ask(self, system: str, question: str, schema: dict[str, Any], seed: int) -> str:
        """Return what the model says, constrained to `schema` where the server can. Raises ServerFailed."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}],
            "temperature": self.temperature,
            "seed": seed,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": schema, "strict": True},
            },
        }
        url = f"{self.url.rstrip('/')}/chat/completions"
        try:
            with requests.Session() as session:
                # Proxies of the environment and redirects could lead outside.
                session.trust_env = False
                answer = session.post(url, json=body, timeout=_TIMEOUT, allow_redirects=False)
            answer.raise_for_status()
            return str(json.loads(answer.content)["choices"][0]["message"]["content"] or "")
        except requests.RequestException as error:
            raise ServerFailed(f"{url}: {type(error).__name__}: {error}"[:300]) from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ServerFailed(f"{url}: an answer that is not of this API") from error


def _is_inside(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    return found.is_private or found.is_loopback or found.is_link_local
