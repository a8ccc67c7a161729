"""The stage: records -> extra data, of the kinds that were asked for. None is made by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from training.extra.flaws import Asked, FlawMaker
from training.extra.functions import tasks
from training.extra.prose import questions
from training.formats.conversations import Conversation
from training.formats.dialects import DIALECTS
from training.history.records import Document, SourceFile
from training.history.similar import exact_key
from training.history.stages import Broken, Made, Stage, StageManifest, counts_of, read_records
from training.jsonl import JsonlWriter

CONVERSATIONS, FLAWS, REPLIES = "conversations.jsonl", "flaws.jsonl", "replies.jsonl"


class Kind(StrEnum):
    """What can be made."""

    PROSE = "prose"
    FUNCTIONS = "functions"
    FLAWS = "flaws"


class ExtraSettings(BaseModel):
    """What is made, and of flaws how many."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: tuple[Kind, ...] = Field(min_length=1)
    flaws: int = Field(default=200, ge=1)
    seed: int = 0
    server: str = ""
    model: str = ""


def make_extra(
    source: Path, out: Path, settings: ExtraSettings, server: Asked | None = None
) -> StageManifest:
    """Write what was asked for; `server` makes the flaws."""
    stage = Stage("extra", out, (source,), settings)
    return stage.run(lambda: _make(source, out, settings, server))


def _make(source: Path, out: Path, settings: ExtraSettings, server: Asked | None) -> Made:
    counts: Counter[str] = Counter()
    broken, seen = Broken(), set[bytes]()
    with JsonlWriter(out / CONVERSATIONS) as writer:
        for kind, talk in _conversations(source, settings, broken):
            key = exact_key("\n".join(turn.text for turn in talk.turns))
            counts[kind if key not in seen else f"{kind}, said before"] += 1
            if key not in seen:
                seen.add(key)
                writer.write(DIALECTS["messages"].write(talk) | {"source": kind.value})
    reasons: Counter[str] = Counter()
    with JsonlWriter(out / FLAWS) as writer:
        if server is not None and Kind.FLAWS in settings.kinds:
            maker = FlawMaker(server, out / REPLIES, settings.model, settings.seed, reasons)
            files = (each for each in read_records(source, Broken()) if isinstance(each, SourceFile))
            for item in maker.items(files, settings.flaws):
                writer.write(item.to_json())
    return (CONVERSATIONS, FLAWS), counts_of(broken, {"conversations": counts, "flaws": reasons})


def _conversations(
    source: Path, settings: ExtraSettings, broken: Broken
) -> Iterator[tuple[Kind, Conversation]]:
    for record in read_records(source, broken):
        if isinstance(record, Document) and Kind.PROSE in settings.kinds:
            yield from ((Kind.PROSE, talk) for talk in questions(record))
        elif isinstance(record, SourceFile) and Kind.FUNCTIONS in settings.kinds:
            yield from ((Kind.FUNCTIONS, talk) for talk in tasks(record))
