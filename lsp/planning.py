"""What is to be reviewed in a repository, and what is known of it already. Blocks: runs git, reads files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from engine.config import ProjectConfig, load_config
from engine.wire import Language, ReviewRequest
from lsp.changes import Compared, FileChange, read_changes
from lsp.findings_cache import FindingsCache, Known, key_of
from lsp.places import Repository
from lsp.settings import LspSettings

_CACHE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Order:
    """How a repository is reviewed."""

    repository: Repository
    settings: LspSettings
    compared: Compared
    project: str = ""
    editor_language: Language = Language.EN
    engine: str = ""  # whose findings they are
    adapter: str = ""  # that reviewed last; what another one found is asked for again
    folders: tuple[Path, ...] = ()  # only below these; everything if empty


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A changed file, and what is known of it. `fresh`: it need not be reviewed again."""

    change: FileChange
    path: Path  # real
    key: str
    known: Known | None
    fresh: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """All changed files of a repository."""

    order: Order
    config: ProjectConfig
    language: Language
    files: tuple[PlannedFile, ...] = ()

    def wanted(
        self, *, first: Path | None = None, only: bool = False, force: bool = False
    ) -> tuple[PlannedFile, ...]:
        """Return the files to review, `first` before the others, or alone."""
        found = [file for file in self.files if force or not file.fresh]
        if only:
            return tuple(file for file in found if file.path == first)
        return tuple(sorted(found, key=lambda file: file.path != first))

    def fitting(self, files: Iterable[PlannedFile]) -> tuple[PlannedFile, ...]:
        """Return the first of `files` that one review may hold."""
        room, taken = self.order.settings.max_diff_kib * 1024, list[PlannedFile]()
        for file in files:
            size = len(file.change.diff.encode("utf-8", "replace"))
            if len(taken) < self.order.settings.max_files and size <= room:
                taken.append(file)
                room -= size
        return tuple(taken)

    def request(self, files: Iterable[PlannedFile]) -> ReviewRequest:
        """Return what the engine is asked."""
        chosen = tuple(files)
        settings, config = self.order.settings, self.config
        return ReviewRequest(
            diff="".join(file.change.diff for file in chosen),
            sources={file.change.path: file.change.text for file in chosen if file.change.text is not None},
            language=self.language,
            guidelines=config.guidelines,
            paths=config.paths,
            exclude=(*config.exclude, *settings.exclude),
            severity=settings.severity or config.severity,
            max_findings=config.max_findings,
            project=self.order.project,
        )


def make_plan(order: Order, buffers: Mapping[str, str], cache: FindingsCache) -> Plan:
    """Return what changed and what is known of it.

    Raises ConfigError naming the key of a `.tenken.toml` that cannot be used, InputError with git's words.
    """
    config = load_config(order.repository.root)
    named = "language" in config.model_fields_set
    language = order.settings.language or (config.language if named else order.editor_language)
    plan = Plan(order, config, language)
    changes = read_changes(order.repository.root, buffers, order.compared)
    return replace(plan, files=tuple(_files(plan, changes, cache)))


def _files(plan: Plan, changes: Iterable[FileChange], cache: FindingsCache) -> Iterable[PlannedFile]:
    order = plan.order
    how = plan.request(()).model_dump(mode="json")
    for change in changes:
        path = order.repository.root / change.path
        if order.folders and not any(path.is_relative_to(folder) for folder in order.folders):
            continue
        key = key_of(_CACHE_FORMAT, order.engine, how, change.path, change.diff, change.text)
        known = cache.get(key)
        fresh = known is not None and (known.skipped is not None or order.adapter in ("", known.adapter))
        yield PlannedFile(change, path, key, known, fresh)
