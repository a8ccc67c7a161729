"""What can go wrong while a project's history is read, beside the engine's tree (`engine.errors`).

TenkenError
├── InputError
│   └── GitLabRefused       an answer that says no: wrong token, no such project (carries the status)
└── EngineError
    ├── GitLabUnavailable   no usable answer, however often it was asked
    └── ServerFailed        the model server that writes synthetic items does not answer as one would

Exit code 2 for what is refused, 3 for what does not answer: the first needs another command, the second time.
"""

from __future__ import annotations

from http import HTTPStatus

from engine.errors import EngineError, InputError


class GitLabRefused(InputError):
    """GitLab says no, and would say so again."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"GitLab answers {status}: {message}")

    @property
    def is_about_the_token(self) -> bool:
        """Whether everything else would be refused as well."""
        return self.status == HTTPStatus.UNAUTHORIZED


class GitLabUnavailable(EngineError):
    """GitLab gave no usable answer."""


class ServerFailed(EngineError):
    """A model server does not answer, or not as one would."""
