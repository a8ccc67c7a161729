"""Where a finding is discussed: the thread of the branch's open merge request that bears its mark. Blocks.

Asks GitLab with the user's own token, and believes of the answers only numbers: the address is made here.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from engine.connecting import Address, Connect, proxy_for
from engine.errors import AccessRefused, Unreachable
from engine.git import Git
from engine.projects import project_of
from lsp.settings import LspSettings

_PAGE, _PAGES = 100, 20
_REFUSED = {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}


def find_thread(root: Path, fingerprint: str, settings: LspSettings) -> str | None:
    """Return the address of the thread about a finding, None where there is none.

    Raises AccessRefused, Unreachable or ConfigError for a GitLab that cannot be asked.
    """
    project, git = project_of(root), Git(root)
    if project is None or not git.succeeds("symbolic-ref", "-q", "HEAD"):
        return None
    branch = git.text("symbolic-ref", "--short", "HEAD").strip()
    gitlab = _GitLab(settings)
    base = f"/projects/{quote(project, safe='')}/merge_requests"
    for found in gitlab.get(f"{base}?{urlencode({'state': 'opened', 'source_branch': branch})}"):
        number = int(found["iid"])
        for discussion in gitlab.pages(f"{base}/{number}/discussions"):
            for note in discussion["notes"][:1]:
                if is_about(str(note["body"]), fingerprint):
                    return f"{gitlab.url}/{project}/-/merge_requests/{number}#note_{int(note['id'])}"
    return None


def is_about(body: str, fingerprint: str) -> bool:
    """Tell whether a note bears the mark of a finding in its last line."""
    mark = rf"<!-- tenken:finding {re.escape(fingerprint)}(?: [a-z]+=[\w.%~-]*)* -->"
    return re.fullmatch(mark, body.rstrip().rpartition("\n")[2]) is not None


class _GitLab:
    """GitLab's API, read only."""

    def __init__(self, settings: LspSettings) -> None:
        address = Address.parse(settings.gitlab_url)
        proxy = settings.proxy or proxy_for(settings.gitlab_url)
        self.url = str(address)
        self._connect = Connect(address, settings.ca_file, proxy, connect_seconds=5, silence_seconds=20)
        self._token = settings.gitlab_token.get_secret_value() if settings.gitlab_token else ""

    def pages(self, path: str) -> Iterator[Any]:
        """Yield the items of all pages."""
        for page in range(1, _PAGES + 1):
            items = self.get(f"{path}?per_page={_PAGE}&page={page}")
            yield from items
            if len(items) < _PAGE:
                return

    def get(self, path: str) -> list[Any]:
        """Return a page."""
        headers = {**self._connect.headers, **({"PRIVATE-TOKEN": self._token} if self._token else {})}
        try:
            connection = self._connect()
            try:
                connection.request("GET", self._connect.target(f"/api/v4{path}"), headers=headers)
                answer = connection.getresponse()
                body = answer.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"cannot reach {self.url}: {error or type(error).__name__}") from error
        if answer.status in _REFUSED:
            raise AccessRefused(f"{self.url} does not accept the token (gitlabToken)")
        if answer.status != http.HTTPStatus.OK:
            raise Unreachable(f"{self.url} answers {answer.status}")
        try:
            found = json.loads(body)
        except ValueError as error:
            raise Unreachable(f"{self.url} does not answer as GitLab would") from error
        return found if isinstance(found, list) else []
