"""A project's wiki, rules and source files -> records. What has not changed since the last run is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from engine.languages import language_of
from engine.selection import skip_by_name
from training.errors import GitLabRefused
from training.history.project import File, Project
from training.history.records import RECORD, Document, DocumentSource, Person, Record, SourceFile
from training.jsonl import JsonlWriter

OnError = Callable[[str, Exception], None]

_PROSE = re.compile(r".*\.(?:md|markdown|rst|adoc|txt)|[^.]*", re.I)
_RULES = re.compile(
    r"(?:^|/)(?:readme|contributing|hacking|style[-_ ]?guide|coding|conventions?|guidelines?)[^/]*$"
    r"|(?:^|/)(?:docs?|documentation)/.*(?:style|guideline|rule|convention|coding|contribut|review|規約|ルール)",
    re.I,
)
_PROJECT = Person(username="project")
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def is_rules(path: str) -> bool:
    """Tell by its path whether a file says how to work on the project."""
    return bool(_RULES.search(path) and _PROSE.fullmatch(path.rpartition("/")[2]))


def is_source(path: str) -> bool:
    """Tell by its path whether a file is code that somebody reviews."""
    return language_of(path) is not None and skip_by_name(path) is None


def list_files(project: Project, on_error: OnError) -> list[File]:
    """Return the default branch's files; an empty repository has none."""
    try:
        return list(project.files()) if project.about.branch else []
    except GitLabRefused as error:
        on_error("files of the default branch", error)
        return []


def write_documents(project: Project, files: Iterable[File], path: Path, on_error: OnError) -> None:
    """Write the wiki's pages, and the rules among the files."""
    rules = (file for file in files if is_rules(file.path))
    with JsonlWriter(path) as writer, _Known(path) as known:
        for page in _pages(project, on_error):
            writer.write(page.model_dump(mode="json"))
        for record in _fresh(project, rules, known, _document, on_error):
            writer.write(record.model_dump(mode="json"))


def write_sources(project: Project, files: Iterable[File], path: Path, limit: int, on_error: OnError) -> None:
    """Write at most `limit` source files, in the order of the tree."""
    code = (file for file in files if is_source(file.path))
    with JsonlWriter(path) as writer, _Known(path) as known:
        for record in islice(_fresh(project, code, known, _source, on_error), limit):
            writer.write(record.model_dump(mode="json"))


class _Known:
    """What an earlier run wrote, by path and content. Texts stay in the file; only their places are kept."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb") if path.is_file() else None
        self._places: dict[tuple[str, str], int] = {}
        place = 0
        for raw in self._file or ():
            record = _record(raw)
            if isinstance(record, (Document, SourceFile)) and record.blob:
                self._places[record.path, record.blob] = place
            place += len(raw)

    def __enter__(self) -> _Known:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def find(self, file: File) -> Record | None:
        place = self._places.get((file.path, file.blob))
        if self._file is None or place is None:
            return None
        self._file.seek(place)
        return _record(self._file.readline())


def _record(raw: bytes) -> Record | None:
    try:
        return RECORD.validate_json(raw)
    except ValidationError:
        return None


def _fresh(
    project: Project,
    files: Iterable[File],
    known: _Known,
    make: Callable[[Project, File, str], Record],
    on_error: OnError,
) -> Iterator[Record]:
    """Yield a record for each file that is text: the one that is known, or a new one."""
    for file in files:
        record = known.find(file)
        if record is None:
            try:
                text = project.text(file.path)
            except GitLabRefused as error:
                on_error(file.path, error)
                continue
            if text is None or not text.strip():
                continue
            record = make(project, file, text)
        yield record


def _pages(project: Project, on_error: OnError) -> Iterator[Document]:
    try:
        for page in project.wiki():
            text, slug = str(page.get("content") or ""), str(page.get("slug") or "")
            if text.strip() and slug:
                yield Document(
                    id=f"wiki-{slug}",
                    url=f"{project.about.url}/-/wikis/{slug}" if project.about.url else "",
                    author=_PROJECT,
                    created=_NO_TIME,
                    source=DocumentSource.WIKI,
                    path=slug,
                    text=text,
                )
    except GitLabRefused as error:
        on_error("wiki", error)


def _document(project: Project, file: File, text: str) -> Document:
    return Document(
        id=f"file-{file.path}",
        url=_blob_url(project, file),
        author=_PROJECT,
        created=_NO_TIME,
        source=DocumentSource.RULES,
        path=file.path,
        text=text,
        blob=file.blob,
    )


def _source(project: Project, file: File, text: str) -> SourceFile:
    return SourceFile(
        id=f"source-{file.path}",
        url=_blob_url(project, file),
        author=_PROJECT,
        created=_NO_TIME,
        path=file.path,
        language=language_of(file.path) or "text",
        text=text,
        blob=file.blob,
    )


def _blob_url(project: Project, file: File) -> str:
    return f"{project.about.url}/-/blob/{project.about.branch}/{file.path}" if project.about.url else ""
