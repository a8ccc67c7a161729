"""One project as GitLab tells it: merge requests with all that was said, wiki pages, files. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from training.errors import GitLabRefused, GitLabUnavailable
from training.history.connection import Json, Server, project_path
from training.history.diff_sources import ApiDiffs, DiffSource
from training.history.reading import Note, moment, read_mark, read_note, read_person
from training.history.records import MergeRequestRecord, Person
from training.history.settings import CollectSettings
from training.history.threads import Talk, Thread, wanted_versions

_HIDDEN = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class File:
    """A file of the default branch; `blob` changes with its content."""

    path: str
    blob: str


@dataclass(frozen=True, slots=True)
class About:
    """Which project it is."""

    id: int
    path: str
    url: str = ""
    branch: str = ""  # the default one; "" in an empty repository


def find_project(server: Server, project: str) -> About:
    """Return the project with this id or path."""
    found = server.get(project_path(project))
    if "id" not in found or "path_with_namespace" not in found:
        raise GitLabUnavailable(f"GitLab sends a project that this version does not understand: {project}")
    return About(
        id=int(found["id"]),
        path=str(found["path_with_namespace"]),
        url=str(found.get("web_url") or ""),
        branch=str(found.get("default_branch") or ""),
    )


class Project:
    """Asks for what is needed, roles once for each person. Raises GitLabRefused, or GitLabUnavailable.

    With `lenient` a refusal of roles is no refusal of the token: a CI job's token may read little.
    """

    def __init__(
        self,
        server: Server,
        about: About,
        settings: CollectSettings,
        diffs: DiffSource | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        self._server, self._settings, self._lenient = server, settings, lenient
        self._diffs = diffs or ApiDiffs(server)
        self.about = about
        self._at = project_path(str(about.id))
        self._roles: dict[int, int | None] = {}

    def merge_requests(self, after: datetime | None) -> Iterator[Json]:
        """Yield merge requests of every state by rising time of change."""
        return self._server.changed(f"{self._at}/merge_requests", after, state="all", scope="all")

    def merge_request(self, iid: int) -> Json:
        """Return one merge request."""
        return self._server.get(f"{self._at}/merge_requests/{iid}")

    def talk(self, row: Json) -> Talk:
        """Return what was said about a merge request, with the diffs it was said about."""
        at = f"{self._at}/merge_requests/{row['iid']}"
        threads = [
            thread for each in self._server.rows(f"{at}/discussions") if (thread := self._thread(each))
        ]
        placed = any(thread.first.position for thread in threads)
        versions = self._diffs.versions(at, row, threads) if placed else []
        diffs = {version.id: self._diffs.files(at, version) for version in wanted_versions(threads, versions)}
        reactions = {
            thread.first.id: self._reactions(at, thread.first.id)
            for thread in threads
            if self._is_judged(thread.first)
        }
        return Talk(self._merge_request(row), threads, versions, diffs, reactions)

    def wiki(self) -> Iterator[Json]:
        """Yield the wiki's pages with their text."""
        return self._server.rows(f"{self._at}/wikis", with_content=1)

    def files(self) -> Iterator[File]:
        """Yield the files of the default branch."""
        rows = self._server.rows(
            f"{self._at}/repository/tree", ref=self.about.branch, recursive="true", pagination="keyset"
        )
        for row in rows:
            if row.get("type") == "blob":
                yield File(str(row["path"]), str(row.get("id") or ""))

    def text(self, path: str) -> str | None:
        """Return a file's text; None if it is too large or no text."""
        at = f"{self._at}/repository/files/{quote(path, safe='')}/raw"
        return self._server.text(at, self._settings.file_bytes, ref=self.about.branch)

    def _merge_request(self, row: Json) -> MergeRequestRecord:
        return MergeRequestRecord(
            id=f"mr-{row['iid']}",
            url=str(row.get("web_url") or ""),
            author=self._person(row["author"]),
            created=moment(row.get("created_at") or row["updated_at"]),
            updated=moment(row["updated_at"]),
            mr=int(row["iid"]),
            title=str(row.get("title") or ""),
            description=str(row.get("description") or ""),
            state=str(row.get("state") or ""),
            head_sha=str(row.get("sha") or ""),
        )

    def _thread(self, row: Json) -> Thread | None:
        notes = tuple(read_note(note, self._person(note["author"])) for note in row["notes"])
        return Thread(str(row["id"]), notes) if notes else None

    def _person(self, data: Mapping[str, Any]) -> Person:
        number = int(data["id"])
        if number not in self._roles:
            self._roles[number] = self._role(number)
        return read_person(data, self._roles[number], self._settings.bots)

    def _role(self, number: int) -> int | None:
        """Return somebody's access level: 0 for no member, None where the token may not know."""
        try:
            return int(self._server.get(f"{self._at}/members/all/{number}")["access_level"])
        except GitLabRefused as error:
            if error.is_about_the_token and not self._lenient:
                raise
            return 0 if error.status == HTTPStatus.NOT_FOUND else None

    def _is_judged(self, note: Note) -> bool:
        own = note.author.bot and read_mark(note.body) is not None
        return not note.system and (own or self._settings.reactions)

    def _reactions(self, at: str, note: int) -> Counter[str]:
        try:
            return Counter(str(row["name"]) for row in self._server.rows(f"{at}/notes/{note}/award_emoji"))
        except GitLabRefused as error:
            if error.status in _HIDDEN:
                return Counter()
            raise
