"""Where the diffs of a merge request come from: GitLab, or a clone for tokens that may not read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from engine.diffs import FileDiff
from engine.errors import InputError
from engine.git import Git
from engine.parsing import parse_diff
from training.history.connection import Json, Server
from training.history.reading import Version, moment, read_diffs, read_version
from training.history.threads import Thread

_DIFF = (
    "diff",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--find-renames",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)


class DiffSource(Protocol):
    """Knows the versions of a merge request's diff."""

    def versions(self, at: str, row: Json, threads: Sequence[Thread]) -> list[Version]:
        """Return the versions, newest first; `at` is the merge request's address, `row` what it is."""

    def files(self, at: str, version: Version) -> Mapping[str, FileDiff]:
        """Return the changed files of a version by their new path."""


class ApiDiffs:
    """GitLab's own versions: every state that ever was."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def versions(self, at: str, row: Json, threads: Sequence[Thread]) -> list[Version]:
        return [read_version(each) for each in self._server.rows(f"{at}/versions")]

    def files(self, at: str, version: Version) -> Mapping[str, FileDiff]:
        return read_diffs(self._server.get(f"{at}/versions/{version.id}").get("diffs") or [])


class CloneDiffs:
    """A clone, as a CI job has one: the states that somebody remarked on, and the last one.

    A commit that was not fetched, or was pushed over, gives no files.
    """

    def __init__(self, server: Server, git: Git) -> None:
        self._server, self._git = server, git

    def versions(self, at: str, row: Json, threads: Sequence[Thread]) -> list[Version]:
        whole = row if row.get("diff_refs") else self._server.get(at)
        last = whole.get("diff_refs") or {}
        states = {
            (str(last.get("base_sha") or ""), str(last.get("head_sha") or "")): moment(whole["updated_at"])
        }
        for thread in threads:
            position = thread.first.position
            if position is not None:
                states.setdefault((position.base_sha, position.head_sha), thread.first.created)
        last_key, *others = states
        ordered = [last_key, *sorted(others, key=lambda state: states[state], reverse=True)]
        return [Version(number, *state, states[state]) for number, state in enumerate(ordered)]

    def files(self, at: str, version: Version) -> Mapping[str, FileDiff]:
        shas = (version.base_sha, version.head_sha)
        if not all(sha.isalnum() for sha in shas):
            return {}
        try:
            found = parse_diff(self._git.text(*_DIFF, *shas, "--"))
        except InputError:
            return {}
        return {file.new_path: file for file in found}
