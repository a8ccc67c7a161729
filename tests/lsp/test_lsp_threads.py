"""A finding's thread is found by its mark in the branch's merge request, with the user's own token."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from git_repository import Repository
from pydantic import SecretStr

from engine.errors import AccessRefused, Unreachable
from lsp.settings import LspSettings
from lsp.threads import find_thread, is_about

MARK = "0123456789abcdef"
BODY = f"Text.\n\n<!-- tenken:finding {MARK} head=abc -->"
BASE = "/api/v4/projects/group%2Fapp/merge_requests"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        pages = {
            f"{BASE}?state=opened&source_branch=topic": [{"iid": 7}],
            f"{BASE}/7/discussions?per_page=100&page=1": [_discussion(n, "nothing") for n in range(100)],
            f"{BASE}/7/discussions?per_page=100&page=2": [_discussion(200, BODY)],
        }
        allowed = self.headers["PRIVATE-TOKEN"] == "own"
        found = pages.get(self.path)
        self.send_response(401 if not allowed else 200 if found is not None else 404)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


def _discussion(number: int, body: str) -> dict[str, object]:
    return {"notes": [{"id": number, "body": body}, {"id": 999, "body": BODY}]}


@pytest.fixture
def gitlab() -> Iterator[str]:
    """The two pages of GitLab that are asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_thread_is_found(repository: Repository, gitlab: str) -> None:
    """On whatever page; by the first note alone, in which others cannot write."""
    repository.commit()
    repository.git("remote", "add", "origin", "https://gitlab.example/group/app.git")
    repository.git("switch", "-qc", "topic")
    settings = LspSettings(gitlab_url=gitlab, gitlab_token=SecretStr("own"))
    assert find_thread(repository.root, MARK, settings) == f"{gitlab}/group/app/-/merge_requests/7#note_200"
    assert find_thread(repository.root, "f" * 16, settings) is None
    with pytest.raises(AccessRefused, match="gitlabToken"):
        find_thread(repository.root, MARK, LspSettings(gitlab_url=gitlab))
    repository.git("switch", "-qc", "other")
    with pytest.raises(Unreachable, match="404"):
        find_thread(repository.root, MARK, settings)
    repository.git("checkout", "-q", "--detach")
    assert find_thread(repository.root, MARK, settings) is None
    repository.git("switch", "-q", "topic")
    dead = urlsplit(gitlab)._replace(netloc="127.0.0.1:9").geturl()
    with pytest.raises(Unreachable, match="cannot reach"):
        find_thread(repository.root, MARK, LspSettings(gitlab_url=dead))


@pytest.mark.parametrize(
    ("name", "body", "found"),
    [
        ("last line", BODY, True),
        ("without more", f"<!-- tenken:finding {MARK} -->", True),
        ("quoted above", f"{BODY}\nmore", False),
        ("another finding", BODY.replace("0", "1"), False),
        ("another note", BODY.replace("finding", "summary"), False),
    ],
)
def test_a_mark(name: str, body: str, found: bool) -> None:
    """Only the bot's own last line counts."""
    assert is_about(body, MARK) is found
