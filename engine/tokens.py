"""Bearer tokens of the engine's API: made once, shown once, kept as hashes in a file.

A token is `tenken_ID_SECRET`. The secret has 256 random bits, so a plain SHA-256 is all the hashing it needs.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import ConfigError

_PREFIX = "tenken"
_NOBODY = hashlib.sha256(secrets.token_bytes()).hexdigest()


class Role(StrEnum):
    """What a token is for, each including those before."""

    REVIEWER = "reviewer"
    TRAINER = "trainer"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Tell whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class TokenRecord(BaseModel):
    """What is kept of a token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    role: Role
    projects: tuple[str, ...] = ()  # none: all of them
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    created: datetime

    def covers(self, project: str) -> bool:
        """Tell whether the token is for this project."""
        return not self.projects or project in self.projects


class _TokenList(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    tokens: tuple[TokenRecord, ...] = ()


class TokenFile:
    """The tokens in a file. A running server sees at once what is added or removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._records: dict[str, TokenRecord] = {}

    @property
    def records(self) -> tuple[TokenRecord, ...]:
        """All tokens, the oldest first; raises ConfigError for a file that cannot be used."""
        self._refresh()
        return tuple(self._records.values())

    def find(self, token: str) -> TokenRecord | None:
        """Return what is kept of `token`, or None unless it is one. Takes the same time for any secret."""
        self._refresh()
        prefix, _, rest = token.partition("_")
        name, _, _ = rest.partition("_")
        record = self._records.get(name)
        expected = record.sha256 if record else _NOBODY
        same = hmac.compare_digest(_hash(token), expected)
        return record if same and prefix == _PREFIX else None

    def create(self, role: Role, projects: tuple[str, ...] = ()) -> str:
        """Add a token and return it; it cannot be shown again."""
        name = secrets.token_hex(6)
        token = f"{_PREFIX}_{name}_{secrets.token_urlsafe(32)}"
        created = datetime.now(UTC).replace(microsecond=0)
        record = TokenRecord(id=name, role=role, projects=projects, sha256=_hash(token), created=created)
        self._write((*(self.records if self._path.exists() else ()), record))
        return token

    def remove(self, name: str) -> None:
        """Remove the token with this id; raises ConfigError where there is none."""
        records = self.records
        kept = tuple(record for record in records if record.id != name)
        if len(kept) == len(records):
            raise ConfigError(f"{self._path}: no token {name}")
        self._write(kept)

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino)
            if seen == self._seen:
                return
            found = _TokenList.model_validate_json(self._path.read_bytes())
        except OSError as error:
            raise ConfigError(f"cannot read {self._path}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole file"
            raise ConfigError(f"{self._path}: {where}: {first['msg']}") from error
        self._records = {record.id: record for record in found.tokens}
        self._seen = seen

    def _write(self, records: tuple[TokenRecord, ...]) -> None:
        text = _TokenList(tokens=records).model_dump_json(indent=2) + "\n"
        try:
            with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False) as file:
                file.write(text)
            os.replace(file.name, self._path)  # NamedTemporaryFile made it readable for its owner alone
        except OSError as error:
            raise ConfigError(f"cannot write {self._path}: {error.strerror}") from error


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
