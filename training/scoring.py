"""Asks a runner about items: scores for their lines, then messages for the lines that pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.errors import RunnerError
from engine.findings import Category, Severity
from engine.prompts import LABELS, review_prompt, score_blocks, write_suffix
from engine.replies import MAX_TOKENS, Malformed, Nothing, ParsedReply, parse_reply, reply_schema
from engine.runners import Cancellation, Reply, Runner, ScoreRequest, WriteRequest
from engine.wire import Language
from training.measures import Spoken
from training.progress import Progress
from training.records import ReviewItem
from training.score_cache import ScoreCache
from training.scored import Probabilities, ScoredItem

NewProgress = Callable[[str, int], Progress]


@dataclass(frozen=True, slots=True)
class Speed:
    """What a stage cost. Nothing is counted for what came from the cache."""

    requests: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def tokens_per_second(self) -> float:
        """Tokens a second, 0 where nothing ran."""
        return self.tokens / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Remark:
    """What is said about a line. Without a message (writing was off) there is no severity either."""

    line: int
    category: Category
    confidence: float
    severity: Severity | None = None
    message: str = ""
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """The remarks of each item, the likeliest first, and how the replies came out."""

    remarks: tuple[tuple[Remark, ...], ...]
    replies: Counter[str] = field(default_factory=Counter)  # remark, nothing, malformed; truncated besides
    speed: Speed = Speed()

    @property
    def valid_share(self) -> float | None:
        """The share of replies that could be read; None if there was none."""
        total = sum(self.replies[kind] for kind in ("remark", "nothing", "malformed"))
        return 1 - self.replies["malformed"] / total if total else None


def score_items(
    runner: Runner, items: Sequence[ReviewItem], cache: ScoreCache, new_progress: NewProgress = Progress
) -> tuple[list[ScoredItem], Speed]:
    """Return each item with the probabilities of its lines, from the cache where it knows them."""
    requests = [score_request(item) for item in items]
    missing = [request for request in requests if request.blocks and cache.get(request) is None]
    speed = _score(runner, missing, cache, new_progress)
    found = [_known(cache, request) for request in requests]
    return [ScoredItem(item, rows) for item, rows in zip(items, found, strict=True)], speed


def unwritten(spoken: Spoken) -> Written:
    """Return the remarks that pass the threshold, without a word written."""
    return Written(tuple(tuple(remarks) for remarks in _passing(spoken)))


def write_remarks(
    runner: Runner, spoken: Spoken, language: Language, new_progress: NewProgress = Progress
) -> Written:
    """Return the remarks that pass the threshold, with the runner's message about each.

    A remark that the runner takes back, or whose reply cannot be read, is left out and counted.
    """
    remarks = _passing(spoken)
    where = [(number, remark) for number, found in enumerate(remarks) for remark in found]
    requests = [_write_request(spoken.items[number].item, remark, language) for number, remark in where]
    replies, speed = write_all(runner, requests, new_progress)
    kept: list[list[Remark]] = [[] for _ in remarks]
    counts: Counter[str] = Counter()
    for (number, remark), reply in zip(where, replies, strict=True):
        parsed = parse_reply(reply.text, reply.truncated)
        counts.update([_kind(parsed)] + ["truncated"] * reply.truncated)
        if isinstance(parsed, ParsedReply):
            kept[number].append(_with_reply(remark, parsed))
    return Written(tuple(tuple(found) for found in kept), counts, speed)


def write_all(
    runner: Runner, requests: Sequence[WriteRequest], new_progress: NewProgress
) -> tuple[list[Reply], Speed]:
    """Return the reply to each request, in their order; raises RunnerError if some are missing."""
    progress = new_progress("writing", len(requests))
    replies: dict[int, Reply] = {}
    for index, reply in runner.write(requests, Cancellation()):
        replies[index] = reply
        progress.tokens(reply.tokens)
        progress.step()
    progress.close()
    if len(replies) < len(requests):
        raise RunnerError(f"only {len(replies)} of {len(requests)} messages were written")
    speed = Speed(len(requests), sum(reply.tokens for reply in replies.values()), progress.seconds)
    return [replies[index] for index in range(len(requests))], speed


def score_request(item: ReviewItem) -> ScoreRequest:
    """Return what is asked to score the lines of `item`."""
    chunk = item.to_chunk()
    return ScoreRequest(review_prompt(chunk), score_blocks(chunk))


def _known(cache: ScoreCache, request: ScoreRequest) -> Probabilities:
    return (cache.get(request) or ()) if request.blocks else ()


def _score(
    runner: Runner, requests: Sequence[ScoreRequest], cache: ScoreCache, new_progress: NewProgress
) -> Speed:
    progress, tokens, answered = new_progress("scoring", len(requests)), 0, 0
    for index, scores in runner.score(requests, LABELS, Cancellation(), progress.tokens):
        cache.put(requests[index], scores.probabilities)
        tokens += scores.prompt_tokens
        answered += 1
        progress.step()
    progress.close()
    if answered < len(requests):
        raise RunnerError(f"only {answered} of {len(requests)} requests were scored")
    return Speed(len(requests), tokens, progress.seconds)


def _passing(spoken: Spoken) -> list[list[Remark]]:
    remarks: list[list[Remark]] = [[] for _ in spoken.items]
    rows = (row for scored in spoken.items for row in scored.anchors())
    columns = zip(spoken.table.item, rows, spoken.probabilities, spoken.passes, strict=True)
    for number, (line, category), probability, passes in columns:
        if passes:
            remarks[number].append(Remark(line, category, float(probability)))
    return [sorted(found, key=lambda remark: -remark.confidence) for found in remarks]


def _write_request(item: ReviewItem, remark: Remark, language: Language) -> WriteRequest:
    chunk = item.to_chunk()
    line = next(line for line in chunk.commentable if line.new_number == remark.line)
    suffix = write_suffix(chunk, line, remark.category, language)
    return WriteRequest(review_prompt(chunk), suffix, reply_schema(), MAX_TOKENS)


def _kind(parsed: ParsedReply | Nothing | Malformed) -> str:
    if isinstance(parsed, ParsedReply):
        return "remark"
    return "nothing" if isinstance(parsed, Nothing) else "malformed"


def _with_reply(remark: Remark, reply: ParsedReply) -> Remark:
    return Remark(
        remark.line, remark.category, remark.confidence, reply.severity, reply.message, reply.suggestion
    )
