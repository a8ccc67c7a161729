"""Who calls: from an Authorization header to a caller with a role and projects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.api.problems import Problem, ProblemKind
from engine.tokens import Role, TokenRecord

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tenken"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a token."""

    id: str
    role: Role
    projects: tuple[str, ...] = ()  # none: all of them

    def project(self, wanted: str) -> str:
        """Return the project meant by `wanted`; empty means the token's only one. Raises Problem 403."""
        if not wanted and len(self.projects) == 1:
            return self.projects[0]
        if self.projects and wanted not in self.projects:
            raise Problem(ProblemKind.FORBIDDEN, f"the token is for {', '.join(self.projects)}")
        return wanted


LOCAL = Caller("local", Role.ADMIN)
"""Whoever calls where there are no tokens."""


class Tokens(Protocol):
    """Knows tokens."""

    def find(self, token: str) -> TokenRecord | None:
        """Return what is known of a token, None for one that is not valid."""


def authenticate(tokens: Tokens | None, authorization: str | None, role: Role) -> Caller:
    """Return the caller; raises Problem 401 without a valid token and 403 where its role falls short."""
    if tokens is None:
        return LOCAL
    scheme, _, token = (authorization or "").partition(" ")
    record = tokens.find(token.strip()) if scheme.lower() == "bearer" else None
    if record is None:
        raise Problem(ProblemKind.UNAUTHENTICATED, headers=_CHALLENGE)
    if not record.role.includes(role):
        raise Problem(ProblemKind.FORBIDDEN, f"this needs the role {role}; the token's is {record.role}")
    return Caller(record.id, record.role, record.projects)
