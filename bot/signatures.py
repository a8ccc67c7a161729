"""Is a request really of GitLab? Tokens and signatures against the secrets that are configured. Pure.

A secret that begins with `whsec_` is a signing key (Standard Webhooks, GitLab 19.0); any other is what GitLab
sends as X-Gitlab-Token. Several at once let them be changed without losing an event.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from engine.errors import ConfigError

TOKEN_HEADER = "X-Gitlab-Token"
SIGNING_PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
_SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret, and the project it is for: None for all that have none of their own."""

    value: bytes = field(repr=False)
    signing: bool
    project_id: int | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """A request is genuine, and may be about this project."""

    secret: Secret
    own_projects: frozenset[int] = frozenset()  # with secrets of their own, which alone count for them

    def covers(self, project_id: int | None) -> bool:
        """Tell whether the secret is good for this project."""
        if self.secret.project_id is not None:
            return self.secret.project_id == project_id
        return project_id not in self.own_projects


class Secrets:
    """All secrets of this process."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._secrets = tuple(secrets)
        self._own = frozenset(s.project_id for s in self._secrets if s.project_id is not None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be accepted."""
        return not self._secrets

    def prove(self, headers: Mapping[str, str], body: bytes, now: float) -> Proof | None:
        """Return the proof that a request is genuine, or None. Takes the same time for any wrong secret.

        `headers` find their values whatever the case of a name; `body` is what was received, unparsed.
        """
        signed = _signed(headers, body, now)
        token = _digest(headers.get(TOKEN_HEADER, "").encode("utf-8", "surrogateescape"))
        sent = _signatures(headers.get("webhook-signature", ""))
        found: Secret | None = None
        for secret in self._secrets:
            if secret.signing:
                expected = hmac.digest(secret.value, signed or b"", "sha256")
                same = [hmac.compare_digest(expected, one) for one in sent]
                good = any(same) and signed is not None
            else:
                good = hmac.compare_digest(_digest(secret.value), token)
            found = secret if good and found is None else found
        if found is None:
            return None
        return Proof(found, self._own)


def read_secrets(common: Iterable[SecretStr], of_projects: Mapping[int, Iterable[SecretStr]]) -> Secrets:
    """Return the secrets of the settings; raises ConfigError for one that protects nothing."""
    secrets = [_secret(one, None, "BOT_WEBHOOK_SECRETS") for one in common]
    for project_id, own in of_projects.items():
        secrets += [_secret(one, project_id, f"BOT_PROJECT_SECRETS: {project_id}") for one in own]
    return Secrets(secrets)


def _secret(given: SecretStr, project_id: int | None, where: str) -> Secret:
    text = given.get_secret_value().strip()
    if not text.startswith(SIGNING_PREFIX):
        if len(text) < _SHORTEST or not (text.isascii() and text.isprintable()):
            raise ConfigError(f"{where}: a secret has at least {_SHORTEST} printable ASCII characters")
        return Secret(text.encode(), signing=False, project_id=project_id)
    try:
        key = base64.b64decode(text.removeprefix(SIGNING_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{where}: not base64 behind {SIGNING_PREFIX}") from error
    if len(key) < _SHORTEST:
        raise ConfigError(f"{where}: a signing key has at least {_SHORTEST} bytes")
    return Secret(key, signing=True, project_id=project_id)


def _signed(headers: Mapping[str, str], body: bytes, now: float) -> bytes | None:
    """Return what a signature covers, or None where headers are missing or the time is not now."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        return None
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return None
    return f"{message_id}.{timestamp}.".encode("utf-8", "surrogateescape") + body


def _signatures(header: str) -> list[bytes]:
    signatures = []
    for one in header.split(" ")[:10]:
        version, _, value = one.partition(",")
        if version == "v1":
            try:
                signatures.append(base64.b64decode(value, validate=True))
            except (binascii.Error, ValueError):
                continue
    return signatures


def _digest(secret: bytes) -> bytes:
    """Secrets of any length become equally long, so that a comparison tells nothing of the length."""
    return hashlib.sha256(secret).digest()
