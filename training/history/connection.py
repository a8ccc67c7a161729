"""Asks GitLab by python-gitlab: paced, patient with rate limits, a page at a time. All but `send` only reads.

The library's own repetitions are switched off: without a Retry-After they would ask again after 0.1 s.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, quote, urljoin, urlsplit

import gitlab
import requests
from gitlab.exceptions import GitlabError
from pydantic import SecretStr

from training.errors import GitLabRefused, GitLabUnavailable

PAGE = 100
Json = dict[str, Any]
_LIMITED_PAUSE, _FAILED_PAUSE, _LONGEST_PAUSE = 5.0, 1.0, 300.0
_PART = 65536
_SEND_SECONDS = 600.0  # GitLab answers when it has stored the file
_TOKENS = ("PRIVATE-TOKEN", "JOB-TOKEN")
_PLACES = ("page", "page_token", "cursor", "id_after")
_TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach GitLab. The token needs `read_api`, or is that of a CI job."""

    url: str
    token: SecretStr
    job_token: bool = False
    ca_file: Path | None = None
    timeout: float = 30.0
    attempts: int = 6
    requests_per_second: float = 10.0


class _Limited(Exception):
    """429; `seconds` is what GitLab asks for, None where it does not say."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds


class _Session(requests.Session):
    """Leaves GitLab's tokens with GitLab: of all headers requests takes back `Authorization` alone."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Take the tokens out of a request that goes to another server."""
        super().rebuild_auth(prepared_request, response)
        if self.should_strip_auth(response.request.url or "", prepared_request.url or ""):
            for name in _TOKENS:
                prepared_request.headers.pop(name, None)


class Server:
    """One project's server. `sleep` and `clock` are the system's, or a test's.

    With `follows` it may send to another server for a file, as GitLab does where files lie in an object
    storage; that server gets no token.
    """

    def __init__(
        self,
        access: Access,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        *,
        follows: bool = False,
    ) -> None:
        self._access, self._sleep, self._clock, self._follows = access, sleep, clock, follows
        self._free_at = 0.0
        self.requests = 0
        session = _Session()
        session.hooks["response"].append(self._inspect)
        token = access.token.get_secret_value()
        self._client = gitlab.Gitlab(
            access.url,
            private_token=None if access.job_token else token,
            job_token=token if access.job_token else None,
            timeout=access.timeout,
            ssl_verify=str(access.ca_file) if access.ca_file else True,
            keep_base_url=True,
            session=session,
        )

    def get(self, path: str, **query: Any) -> Json:
        """Return an object."""
        found = self._json(self._ask(path, query))
        if not isinstance(found, dict):
            raise GitLabUnavailable(f"{path}: GitLab sends no object where one was asked for")
        return found

    def rows(self, path: str, **query: Any) -> Iterator[Json]:
        """Yield a list, asking for further pages as they are used: by number, or by token if keyset-paged."""
        following: dict[str, str] = {"per_page": str(PAGE)}
        while following:
            asked = {**query, **following}
            response = self._ask(path, asked)
            yield from self._list(path, response)
            following = _next_page(response, asked)

    def changed(self, path: str, after: datetime | None, **query: Any) -> Iterator[Json]:
        """Yield a list by rising `updated_at`, from `after` on, each row as often as it changes meanwhile.

        Pages by number would skip rows, because what changes moves to the end. Each page is asked for by the
        time of the row before it; rows of the same time are paged by number.
        """
        since, page, seen = after, 1, set[tuple[int, str]]()
        while True:
            asked = {"order_by": "updated_at", "sort": "asc", "per_page": PAGE, "page": page, **query}
            if since is not None:
                asked["updated_after"] = since.isoformat()
            rows = self._list(path, self._ask(path, asked))
            if any(key not in row for row in rows for key in ("id", "iid", "updated_at")):
                raise GitLabUnavailable(f"{path}: GitLab sends rows that this version does not understand")
            for row in rows:
                if (key := (row["id"], row["updated_at"])) not in seen:
                    seen.add(key)
                    yield row
            if len(rows) < PAGE:
                return
            latest = datetime.fromisoformat(rows[-1]["updated_at"])
            page = page + 1 if latest == since else 1
            since, seen = latest, {key for key in seen if key[1] == rows[-1]["updated_at"]}

    def text(self, path: str, limit: int, **query: Any) -> str | None:
        """Return a file's text, None if it is larger than `limit` bytes or no UTF-8."""
        data = bytearray()
        with self._ask(path, query, streamed=True) as response:
            for part in response.iter_content(_PART):
                data += part
                if len(data) > limit:
                    return None
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return None

    def save(self, path: str, target: Path, limit: int) -> str:
        """Write a file to `target`, anew after each interruption; return its sha256 in hex.

        Raises GitLabUnavailable where it has more than `limit` bytes.
        """
        reason = ""
        for attempt in range(1, self._access.attempts + 1):
            try:
                with self._ask(path, {}, streamed=True) as response:
                    return _store(response, target, limit)
            except requests.RequestException as error:
                reason = type(error).__name__
            if attempt < self._access.attempts:
                self._sleep(min(_FAILED_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE))
        raise GitLabUnavailable(f"{path} breaks off each time: {reason}")

    def send(self, path: str, body: BinaryIO) -> None:
        """Put a file. It is sent again only where it was surely not taken: the rate is limited.

        After GitLabUnavailable it may have arrived all the same; whoever sends has to look.
        """
        self._ask(path, {}, body=body)

    def _ask(
        self, path: str, query: Json, *, streamed: bool = False, body: BinaryIO | None = None
    ) -> requests.Response:
        for attempt in range(1, self._access.attempts + 1):
            self._pace()
            again = body is None
            if body is not None:
                body.seek(0)
            try:
                return self._client.http_request(
                    "get" if body is None else "put",
                    path,
                    query_data=query,
                    post_data=body,
                    raw=body is not None,
                    timeout=None if body is None else _SEND_SECONDS,
                    streamed=streamed,
                    obey_rate_limit=False,
                    retry_transient_errors=False,
                )
            except _Limited as limit:
                again, reason = True, "it limits the rate of requests"
                pause = _LIMITED_PAUSE * 2 ** (attempt - 1) if limit.seconds is None else limit.seconds
            except requests.exceptions.SSLError as error:
                raise GitLabUnavailable(
                    f"cannot trust {self._access.url}; --ca-file names whom to trust: {error}"
                ) from error
            except requests.RequestException as error:
                reason, pause = type(error).__name__, _FAILED_PAUSE * 2 ** (attempt - 1)
            except GitlabError as error:
                reason, pause = _checked(error), _FAILED_PAUSE * 2 ** (attempt - 1)
            if not again:
                break
            if attempt < self._access.attempts:
                self._sleep(min(pause, _LONGEST_PAUSE))
        raise GitLabUnavailable(f"no usable answer from {self._access.url} for {path}: {reason}")

    def _pace(self) -> None:
        self.requests += 1
        now = self._clock()
        if self._free_at > now:
            self._sleep(self._free_at - now)
        self._free_at = max(now, self._free_at) + 1 / self._access.requests_per_second

    def _inspect(self, response: requests.Response, *_: Any, **__: Any) -> None:
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            response.close()
            raise _Limited(_wait_of(response))
        if response.is_redirect:
            # The token is in a header that a redirect would carry along to another server.
            target = urlsplit(urljoin(response.url, response.headers["Location"]))
            ours = urlsplit(self._access.url)
            followed = self._follows and target.scheme in ("https", ours.scheme)
            if (target.scheme, target.netloc) != ours[:2] and not followed:
                response.close()
                raise GitLabRefused(
                    response.status_code, f"it sends to {target.scheme}://{target.netloc}, not followed"
                )

    def _list(self, path: str, response: requests.Response) -> list[Json]:
        rows = self._json(response)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise GitLabUnavailable(f"{path}: GitLab sends no list where one was asked for")
        return rows

    def _json(self, response: requests.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise GitLabUnavailable("an answer that is not GitLab's: something stands between") from error


def project_path(project: str) -> str:
    """Return how the API addresses a project by its id or path."""
    return f"/projects/{quote(project, safe='')}"


def _checked(error: GitlabError) -> str:
    """Return why to ask again; raises GitLabRefused where that is of no use."""
    status = error.response_code or 0
    if 0 < status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _TRANSIENT:
        message: object = error.error_message  # text, bytes or an object, whatever its annotation says
        text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
        raise GitLabRefused(status, " ".join(text.split())[:300]) from error
    return f"it answers {status or 'nothing usable'}"


def _wait_of(response: requests.Response) -> float | None:
    after = response.headers.get("Retry-After", "")
    if after.isdecimal():
        return float(after)
    reset = response.headers.get("RateLimit-Reset", "")
    return max(0.0, float(reset) - time.time()) if reset.isdecimal() else None


def _store(response: requests.Response, target: Path, limit: int) -> str:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        for part in response.iter_content(_PART):
            size += len(part)
            if size > limit:
                raise GitLabUnavailable(f"{target.name} has more than {limit} bytes")
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def _next_page(response: requests.Response, asked: Json) -> dict[str, str]:
    """Return what the link to the next page changes in the query; its host may be GitLab's own alone."""
    query = parse_qs(urlsplit(response.links.get("next", {}).get("url", "")).query)
    following = {"per_page": str(PAGE)}
    following |= {name: query[name][0] for name in _PLACES if name in query}
    # A link back to the same page would be asked for again and again.
    return following if any(str(asked.get(name)) != value for name, value in following.items()) else {}
