"""GitLab's REST API as reading and writing of JSON: pages, downloads, answers that are none."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import gitlab
import requests

from bot.errors import GitLabRefused, GitLabUnavailable, NotFound
from bot.gitlab import StillCurrent
from bot.gitlab_connection import Connection, Find
from bot.gitlab_json import Json

PAGE = 100

_T = TypeVar("_T")
_CHUNK = 65536
_UPLOAD = re.compile(r"(?:/-/project/\d+)?/uploads/[0-9a-f]+/[\w.-]+", re.ASCII)
_NOT_GITLAB = "an answer that is not GitLab's: something stands between"


class Rest:
    """Asks by path; every write first asks `still_current`."""

    def __init__(self, connection: Connection, still_current: StillCurrent) -> None:
        self._connection = connection
        self._still_current = still_current

    async def get(self, url: str) -> Json:
        """Return an object."""
        return await self._connection.read(lambda client: _object(client.http_get(url)))

    async def all(self, url: str, read: Callable[[Json], _T]) -> tuple[_T, ...]:
        """Return a whole list."""
        return tuple([value async for value in self.list(url, read)])

    async def list(self, url: str, read: Callable[[Json], _T], **query: Any) -> AsyncIterator[_T]:
        """Yield what is in a list, a page at a time, as long as GitLab names a next one.

        Our own pages and not the library's iterator: one that fails is asked for again alone.
        """
        page = "1"
        while page:
            rows, page = await self._connection.read(_page_of(url, page, query))
            for row in rows:
                yield read(row)

    async def page(
        self, url: str, read: Callable[[Json], _T], number: int = 1, **query: Any
    ) -> tuple[tuple[_T, ...], bool]:
        """Return one page of a list, and whether there is a next one."""
        rows, following = await self._connection.read(_page_of(url, str(number), query))
        return tuple(map(read, rows)), bool(following)

    async def download(self, url: str, query: Mapping[str, Any], max_bytes: int | None) -> bytes:
        """Return a file; GitLabRefused if it is larger."""

        def receive(client: gitlab.Gitlab) -> bytes:
            with client.http_request("get", url, query_data=dict(query), streamed=True) as response:
                return b"".join(_limited(response, max_bytes))

        return await self._connection.read(receive)

    async def post(
        self,
        url: str,
        fields: Mapping[str, object],
        read: Callable[[Json], _T],
        find: Find[_T] | None,
    ) -> _T:
        """Return the object that was made, or what `find` found of it after an answer was lost."""

        def send(client: gitlab.Gitlab) -> _T:
            return read(_object(client.http_post(url, post_data=dict(fields))))

        return await self._connection.write(send, find=find, still_current=self._still_current)

    async def upload(self, url: str, name: str, data: bytes) -> str:
        """Return the address of the file that was made. One more of them after a lost answer is no harm."""

        def send(client: gitlab.Gitlab) -> str:
            answer = _object(client.http_post(url, files={"file": (name, data)}))
            address = answer.get("url")
            if not isinstance(address, str) or not _UPLOAD.fullmatch(address):
                raise GitLabUnavailable("GitLab gives an uploaded file no address")
            return address

        return await self._connection.write(send, repeatable=True, still_current=self._still_current)

    async def act(
        self, url: str, fields: Mapping[str, object] | None = None, *, repeatable: bool = False
    ) -> None:
        """Post where the answer does not matter."""

        def send(client: gitlab.Gitlab) -> None:
            client.http_post(url, post_data=dict(fields or {}))

        await self._connection.write(send, repeatable=repeatable, still_current=self._still_current)

    async def put(self, url: str, fields: Mapping[str, object]) -> Json:
        """Return the object that was changed."""
        return await self._connection.write(
            lambda client: _object(client.http_put(url, post_data=dict(fields))),
            repeatable=True,
            still_current=self._still_current,
        )

    async def delete(self, url: str) -> None:
        """Remove an object; one that is gone already is fine."""

        def send(client: gitlab.Gitlab) -> None:
            client.http_delete(url)

        with suppress(NotFound):
            await self._connection.write(send, repeatable=True, still_current=self._still_current)


class _Page:
    """One page of a list, and the number of the next, which is empty after the last."""

    def __init__(self, url: str, query: Mapping[str, Any]) -> None:
        self.url = url
        self.query = query

    def __call__(self, client: gitlab.Gitlab) -> tuple[list[Json], str]:
        response = client.http_request("get", self.url, query_data=dict(self.query))
        try:
            rows = response.json()
        except ValueError as error:
            raise GitLabUnavailable(_NOT_GITLAB) from error
        if not isinstance(rows, list):
            raise GitLabUnavailable("GitLab sends no list where one was asked for")
        # The link's host may be one that only GitLab itself knows; its number is all that is taken.
        following = response.links.get("next", {}).get("url", "")
        numbers = parse_qs(urlsplit(following).query).get("page", [""])
        return rows, numbers[0] if numbers[0] != str(self.query["page"]) else ""


def _page_of(url: str, page: str, query: Mapping[str, Any]) -> _Page:
    return _Page(url, {**query, "page": page, "per_page": PAGE})


def _object(answer: object) -> dict[str, Any]:
    """Return an answer that is a JSON object; python-gitlab hands out the response where it is no JSON."""
    if isinstance(answer, dict):
        return answer
    raise GitLabUnavailable(_NOT_GITLAB)


def _limited(response: requests.Response, max_bytes: int | None) -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_content(_CHUNK):
        size += len(chunk)
        if max_bytes is not None and size > max_bytes:
            raise GitLabRefused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the file is larger than {max_bytes:,} bytes"
            )
        yield chunk
