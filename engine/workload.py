"""What a review has to do, and how far it is: files, their chunks and prompts, coverage. No model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine.chunks import Chunk, chunk_file, left_out
from engine.diffs import FileDiff, LineKind
from engine.errors import InputError
from engine.findings import Finding
from engine.parsing import parse_diff
from engine.prompts import PromptContext, review_prompt
from engine.replies import MAX_TOKENS
from engine.selection import language_of, select
from engine.wire import FileCoverage, ReviewRequest, SkipReason

CHUNK_TOKENS = 1400
"""Tokens of a chunk's prompt and score blocks, without what all chunks share; about what training saw."""
_NAMED_LINES = 5


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk that is ready for the model."""

    chunk: Chunk
    prompt: str
    file: FileWork = field(repr=False, compare=False)


@dataclass(slots=True)
class FileWork:
    """A file under review, and how far it is."""

    path: str
    ordinals: Mapping[int, int]  # line -> how many added lines above it say the same
    left_out: tuple[int, ...] = ()  # lines too long for the model
    pieces: tuple[Piece, ...] = ()
    pieces_done: int = 0
    lines_done: int = 0

    @property
    def is_done(self) -> bool:
        return self.pieces_done == len(self.pieces)


@dataclass(frozen=True, slots=True)
class Workload:
    """All files of a diff: those under review, and the coverage entries of those that are not."""

    paths: tuple[str, ...]  # of all files, in the diff's order
    files: tuple[FileWork, ...]
    skipped: tuple[FileCoverage, ...]
    lines: int  # to be scored

    @property
    def pieces(self) -> Iterator[Piece]:
        """Everything to be scored, in the diff's order."""
        return (piece for file in self.files for piece in file.pieces)

    def coverage(self, findings: Sequence[Finding]) -> tuple[FileCoverage, ...]:
        """Return what happened to each file, in the diff's order; what is not done by now was cancelled."""
        found = Counter(finding.path for finding in findings)
        entries = [*self.skipped, *(_coverage(file, found[file.path]) for file in self.files)]
        order = {path: index for index, path in enumerate(self.paths)}
        return tuple(sorted(entries, key=lambda entry: order[entry.path]))


def plan_work(request: ReviewRequest, count_tokens: Callable[[str], int]) -> Workload:
    """Return the work that `request` asks for. Raises DiffError for text that is no diff."""
    files = parse_diff(request.diff)
    chosen, skipped = select(files, paths=request.paths, exclude=request.exclude, sources=request.sources)
    context = PromptContext(request.guidelines, request.title, request.description)
    work = tuple(
        _file_work(file, request.sources.get(file.new_path), context, count_tokens) for file in chosen
    )
    lines = sum(len(piece.chunk.commentable) for file in work for piece in file.pieces)
    return Workload(tuple(file.new_path for file in files), work, tuple(skipped), lines)


def require_room(request: ReviewRequest, count_tokens: Callable[[str], int], context: int) -> None:
    """Raise InputError where what all chunks share leaves no room for a chunk in `context` tokens."""
    shared = PromptContext(request.guidelines, request.title, request.description)
    empty = Chunk("", "", ())
    used = count_tokens(review_prompt(empty, shared)) - count_tokens(review_prompt(empty))
    room = context - CHUNK_TOKENS - MAX_TOKENS
    if used > room:
        raise InputError(
            f"guidelines, title and description take {used} tokens, but only {room} are left for them: "
            "shorten them, or raise ENGINE_CONTEXT"
        )


def _file_work(
    file: FileDiff, source: str | None, context: PromptContext, count_tokens: Callable[[str], int]
) -> FileWork:
    language = language_of(file.new_path) or "text"
    chunks = chunk_file(file, language, count_tokens, CHUNK_TOKENS, source)
    too_long = tuple(line.new_number or 0 for line in left_out(file, chunks))
    work = FileWork(file.new_path, ordinals_of(file), too_long)
    work.pieces = tuple(
        Piece(chunk, review_prompt(chunk, context), work) for chunk in chunks if chunk.commentable
    )
    return work


def ordinals_of(file: FileDiff) -> dict[int, int]:
    """Return for each added line how many like it the file's diff has before it; see `fingerprint`.

    Only added lines count: how many context lines a diff shows is a matter of its settings.
    """
    seen: Counter[str] = Counter()
    ordinals = {}
    for line in (line for hunk in file.hunks for line in hunk.lines):
        if line.kind is LineKind.ADDED and line.new_number is not None:
            code = " ".join(line.text.split())
            ordinals[line.new_number] = seen[code]
            seen[code] += 1
    return ordinals


def _coverage(file: FileWork, findings: int) -> FileCoverage:
    reason = _why_not_reviewed(file)
    detail = "partly reviewed" if reason and file.lines_done else _too_long(file.left_out)
    return FileCoverage(
        path=file.path,
        reviewed=reason is None,
        reason=reason,
        detail=detail,
        lines=file.lines_done,
        findings=findings,
    )


def _why_not_reviewed(file: FileWork) -> SkipReason | None:
    if not file.is_done:
        return SkipReason.CANCELLED
    if file.pieces:
        return None
    return SkipReason.TOO_LARGE if file.left_out else SkipReason.NO_ADDED_LINES


def _too_long(lines: Sequence[int]) -> str:
    if not lines:
        return ""
    named = ", ".join(map(str, lines[:_NAMED_LINES])) + (", ..." if len(lines) > _NAMED_LINES else "")
    return f"too long to read: line {named}" if len(lines) == 1 else f"too long to read: lines {named}"
