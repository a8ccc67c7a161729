"""GitLab as the language server reads it, with the user's own token: merge requests, threads. Blocks.

Of an answer only what fits the shapes below is believed, and addresses are made here, out of numbers.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from typing import TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.connecting import Address, Connect, proxy_for
from engine.errors import AccessRefused, ConfigError, QueueFull, TenkenError, Unreachable
from engine.settings import read_token
from lsp.errors import UnknownProject
from lsp.settings import LspSettings

KEYRING_SERVICE = "tenken"
_PAGE, _PAGES = 100, 20
_ANSWER_LIMIT = 2**24  # bytes of one page
_REFUSED = {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}
_PAUSE, _LONGEST_PAUSE = 60, 3600  # seconds until the next question, where GitLab wants fewer of them

_Item = TypeVar("_Item")


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Person(_Shape):
    """Who wrote a note."""

    name: str = ""


class Line(_Shape):
    """An end of a range; `new_line` is a number, its digits or nothing."""

    new_line: int | str | None = None


class LineRange(_Shape):
    """The lines of a thread that is about several."""

    start: Line | None = None
    end: Line | None = None


class Position(_Shape):
    """Where in a commit's files a thread is."""

    head_sha: str | None = Field(default=None, pattern=r"^[0-9a-f]{40,64}$")
    new_path: str | None = None
    new_line: int | None = Field(default=None, ge=1)
    line_range: LineRange | None = None


class Note(_Shape):
    """One message."""

    id: int
    body: str
    author: Person = Person()
    system: bool = False
    resolvable: bool = False
    resolved: bool | None = None
    position: Position | None = None


class Discussion(_Shape):
    """A thread."""

    id: str = Field(pattern=r"^[0-9a-f]{1,64}$")
    notes: tuple[Note, ...] = ()


class _MergeRequest(_Shape):
    iid: int


_MERGE_REQUESTS = TypeAdapter(list[_MergeRequest])
_DISCUSSIONS = TypeAdapter(list[Discussion])


class GitLab:
    """One server. Nothing is asked, of it or of the keyring, before something is wanted."""

    def __init__(self, settings: LspSettings) -> None:
        self._settings = settings
        self._turn = threading.Lock()
        self._opened: tuple[Connect, str] | None = None

    def merge_request(self, project: str, branch: str) -> int | None:
        """Return the number of a branch's open merge request, the newest if there are several.

        Raises UnknownProject, AccessRefused, Unreachable, QueueFull or ConfigError.
        """
        query = urlencode({"state": "opened", "source_branch": branch})
        found = self._get(project, f"?{query}", _MERGE_REQUESTS)
        return found[0].iid if found else None

    def discussions(self, project: str, number: int) -> Iterator[Discussion]:
        """Yield a merge request's threads, page by page; raises as `merge_request` does."""
        for page in range(1, _PAGES + 1):
            items = self._get(project, f"/{number}/discussions?per_page={_PAGE}&page={page}", _DISCUSSIONS)
            yield from items
            if len(items) < _PAGE:
                return

    def note_url(self, project: str, number: int, note: int) -> str:
        """Return where a person reads a note."""
        base = f"{Address.parse(self._settings.gitlab_url)}/{quote(project, safe='/')}"
        return f"{base}/-/merge_requests/{number}#note_{note}"

    def _get(self, project: str, rest: str, shape: TypeAdapter[list[_Item]]) -> list[_Item]:
        """Return one page of what is below a project's merge requests."""
        connect, token = self._access()
        path = f"/api/v4/projects/{quote(project, safe='')}/merge_requests{rest}"
        headers = {**connect.headers, **({"PRIVATE-TOKEN": token} if token else {})}
        try:
            connection = connect()
            try:
                connection.request("GET", connect.target(path), headers=headers)
                answer = connection.getresponse()
                body = answer.read(_ANSWER_LIMIT)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"cannot reach {connect.address}: {error or type(error).__name__}") from error
        if answer.status != http.HTTPStatus.OK:
            raise _refusal(connect.address, project, answer)
        try:
            return shape.validate_json(body)
        except ValidationError as error:
            raise Unreachable(f"{connect.address} does not answer as GitLab would") from error

    def _access(self) -> tuple[Connect, str]:
        """Return how it is reached, and the token; looked for once."""
        with self._turn:
            if self._opened is None:
                settings = self._settings
                proxy = settings.proxy or proxy_for(settings.gitlab_url)
                address = Address.parse(settings.gitlab_url)
                connect = Connect(address, settings.ca_file, proxy, connect_seconds=5, silence_seconds=20)
                self._opened = connect, own_token(settings)
            return self._opened


def own_token(settings: LspSettings) -> str:
    """Return the user's token: of the settings, of the file they name, or of the system's keyring.

    Raises ConfigError for a file without one.
    """
    if settings.gitlab_token is not None:
        return settings.gitlab_token.get_secret_value()
    if settings.gitlab_token_file is None:
        return _of_keyring(settings.gitlab_url)
    try:
        return read_token(settings.gitlab_token_file).get_secret_value()
    except ConfigError as error:
        raise ConfigError(f"gitlabTokenFile: {error}") from error


def _of_keyring(url: str) -> str:
    """Return what the keyring has for an address, nothing where there is no keyring or it stays locked."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError:
        return ""
    try:
        return keyring.get_password(KEYRING_SERVICE, url) or ""
    except (KeyringError, OSError):
        return ""


def _refusal(address: Address, project: str, answer: http.client.HTTPResponse) -> TenkenError:
    if answer.status == http.HTTPStatus.NOT_FOUND:
        return UnknownProject(
            f"{address} has no project {project}, or hides it from this token (gitlabToken)"
        )
    if answer.status in _REFUSED:
        return AccessRefused(f"{address} does not accept the token (gitlabToken)")
    if answer.status == http.HTTPStatus.TOO_MANY_REQUESTS:
        seconds = answer.headers.get("Retry-After", "")
        return QueueFull(min(int(seconds), _LONGEST_PAUSE) if seconds.isdecimal() else _PAUSE)
    return Unreachable(f"{address} answers {answer.status}")
