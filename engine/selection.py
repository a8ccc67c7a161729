"""Which files of a diff are reviewed, and why the others are not. Pure: decides by path, diff and text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from pathspec import GitIgnoreSpec

from engine.diffs import FileDiff, FileStatus, LineKind
from engine.errors import InputError
from engine.languages import language_of
from engine.wire import FileCoverage, SkipReason

__all__ = ["Limits", "PathFilter", "language_of", "select", "skip_by_name"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many added lines are reviewed."""

    file: int = 2_000
    total: int = 20_000


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a file is not reviewed."""

    reason: SkipReason
    detail: str


Rule = Callable[[FileDiff], Skip | None]


@dataclass(frozen=True, slots=True)
class PathFilter:
    """Gitignore-style patterns: `only` (all if empty) says what is reviewed, `exclude` what never is.

    As in a .gitignore file the last matching pattern decides, and `!` takes a path out again.
    """

    only: GitIgnoreSpec | None
    exclude: GitIgnoreSpec
    exclude_patterns: tuple[str, ...]

    @classmethod
    def of(cls, only: Sequence[str] = (), exclude: Sequence[str] = ()) -> PathFilter:
        """Return the filter for these patterns; InputError names a bad one."""
        return cls(_spec(only) if only else None, _spec(exclude), tuple(exclude))

    def __call__(self, file: FileDiff) -> Skip | None:
        if self.only is not None and not self.only.match_file(file.new_path):
            return Skip(SkipReason.EXCLUDED, "outside the paths asked for")
        found = self.exclude.check_file(file.new_path)
        if found.include and found.index is not None:
            return Skip(SkipReason.EXCLUDED, f"excluded by '{self.exclude_patterns[found.index]}'")
        return None


def select(
    files: Iterable[FileDiff],
    *,
    paths: Sequence[str] = (),
    exclude: Sequence[str] = (),
    sources: Mapping[str, str] | None = None,
    limits: Limits = Limits(),
) -> tuple[list[FileDiff], list[FileCoverage]]:
    """Return the files to review and the coverage entries of all others, both in the diff's order.

    `sources` holds full new texts by path, as far as they are known: the mark of a generated file
    often stands above the lines that the diff shows.
    """
    rules: tuple[Rule, ...] = (PathFilter.of(paths, exclude), *_RULES)
    reviewed: list[FileDiff] = []
    skipped: list[FileCoverage] = []
    total = 0
    for file in files:
        count = len(_added(file))
        skip = _first_skip(file, rules, (sources or {}).get(file.new_path, ""))
        skip = skip or _too_large(count, total, limits)
        if skip is None:
            total += count
            reviewed.append(file)
        else:
            skipped.append(_coverage(file, skip))
    return reviewed, skipped


def skip_by_name(path: str) -> SkipReason | None:
    """Return why a file of this name is never reviewed, or None."""
    skip = _by_name(path)
    return skip.reason if skip else None


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LOCK_FILES = _words(
    """
    package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb deno.lock
    poetry.lock pipfile.lock pdm.lock uv.lock pixi.lock conda-lock.yml
    cargo.lock composer.lock gemfile.lock go.sum go.work.sum gopkg.lock glide.lock
    gradle.lockfile buildscript-gradle.lockfile packages.lock.json paket.lock project.assets.json
    podfile.lock cartfile.resolved package.resolved mix.lock rebar.lock pubspec.lock
    flake.lock .terraform.lock.hcl chart.lock module.bazel.lock
    """
)
_VENDORED = _words(
    """
    vendor node_modules bower_components jspm_packages third_party third-party thirdparty 3rdparty
    site-packages pods carthage .yarn .venv virtualenv
    """
)
_GENERATED_NAME = re.compile(
    r"(?:\.pb(?:\.gw|\.validate)?\.(?:go|cc|h|c)|_pb2(?:_grpc)?\.pyi?|_pb\.(?:js|d\.ts|rb)"
    r"|\.g\.dart|\.freezed\.dart"
    r"|\.designer\.(?:cs|vb)|\.g\.(?:i\.)?cs|_generated\.(?:go|rs|h)|\.generated\.\w+|zz_generated\.[\w.]+"
    r"|(?:^|/)bindata\.go|\.snap)$"
)
_GENERATED_FOLDER = frozenset({"__generated__", "__snapshots__"})
_MINIFIED_NAME = re.compile(r"[.-]min\.(?:js|mjs|cjs|css)$|\.(?:js|mjs|css)\.map$|\.bundle\.js$")
_MARK = re.compile(
    r"^\s*(?:#|//|/\*|\*|--|;|<!--|%)[#/*!\s-]{0,8}(?:@generated\b|<auto-?generated\b|.{0,40}?\b"
    r"(?:(?:code|file) generated (?:by|from)\b|auto-?generated (?:by|from|file|code)\b"
    r"|this (?:file|code|class) (?:is|was|has been) (?:automatically |auto[- ]?)?generated\b"
    r"|(?:code )?generated .{1,80}do not (?:edit|modify)))",
    re.IGNORECASE,
)
_MARK_LINES = 30
_LONG_AVERAGE, _LONG_TOTAL = 300, 3_000
_REGULAR = "100"


def _not_a_change_to_read(file: FileDiff) -> Skip | None:
    if file.status is FileStatus.DELETED:
        return Skip(SkipReason.DELETED, "")
    if file.is_binary:
        return Skip(SkipReason.BINARY, "")
    if file.new_mode and not file.new_mode.startswith(_REGULAR):
        return Skip(SkipReason.UNSUPPORTED, "a symbolic link or a submodule")
    if not _added(file):
        return Skip(SkipReason.NO_ADDED_LINES, "")
    return None


def _by_name(name: str) -> Skip | None:
    path = PurePosixPath(name.lower())
    if path.name in _LOCK_FILES:
        return Skip(SkipReason.LOCK_FILE, path.name)
    if folder := next((part for part in path.parts[:-1] if part in _VENDORED), None):
        return Skip(SkipReason.VENDORED, f"under {folder}/")
    if _MINIFIED_NAME.search(path.name):
        return Skip(SkipReason.MINIFIED, "by its name")
    if _GENERATED_NAME.search(str(path)) or _GENERATED_FOLDER.intersection(path.parts):
        return Skip(SkipReason.GENERATED, "by its name")
    return None


def _by_its_name(file: FileDiff) -> Skip | None:
    return _by_name(file.new_path)


def _by_language(file: FileDiff) -> Skip | None:
    if language_of(file.new_path) is None:
        return Skip(SkipReason.UNSUPPORTED, "not a programming language known here")
    return None


def _by_line_length(file: FileDiff) -> Skip | None:
    added = _added(file)
    length = sum(map(len, added))
    if length >= _LONG_TOTAL and length > _LONG_AVERAGE * len(added):
        return Skip(SkipReason.MINIFIED, f"added lines are {length // len(added)} characters long on average")
    return None


_RULES: tuple[Rule, ...] = (_not_a_change_to_read, _by_its_name, _by_language, _by_line_length)


def _first_skip(file: FileDiff, rules: Iterable[Rule], source: str) -> Skip | None:
    found = next((skip for rule in rules if (skip := rule(file))), None)
    return found or _by_mark(file, source)


def _by_mark(file: FileDiff, source: str) -> Skip | None:
    """Look for the mark of a code generator in a comment near the top of the file."""
    shown = (
        line.text
        for hunk in file.hunks
        for line in hunk.lines
        if line.new_number is not None and line.new_number <= _MARK_LINES
    )
    head = source.split("\n", _MARK_LINES)[:_MARK_LINES] if source else islice(shown, _MARK_LINES)
    found = next((match for line in head if (match := _MARK.search(line[:400]))), None)
    return Skip(SkipReason.GENERATED, f"marked '{found.group().strip()}'") if found else None


def _too_large(count: int, total: int, limits: Limits) -> Skip | None:
    if count > limits.file:
        return Skip(SkipReason.TOO_LARGE, f"{count} added lines, the limit for a file is {limits.file}")
    if total + count > limits.total:
        return Skip(SkipReason.TOO_LARGE, f"the limit for a review is {limits.total} added lines")
    return None


def _added(file: FileDiff) -> list[str]:
    return [line.text for hunk in file.hunks for line in hunk.lines if line.kind is LineKind.ADDED]


def _coverage(file: FileDiff, skip: Skip) -> FileCoverage:
    return FileCoverage(path=file.new_path, reviewed=False, reason=skip.reason, detail=skip.detail)


def _spec(patterns: Sequence[str]) -> GitIgnoreSpec:
    for pattern in patterns:
        try:
            GitIgnoreSpec.from_lines([pattern])
        except (ValueError, re.error) as error:
            raise InputError(f"path pattern {pattern!r} cannot be used: {error}") from error
    return GitIgnoreSpec.from_lines(patterns)
