"""Redact: records without secrets and without what tells of people. Line numbers stay as they are.

A person becomes a pseudonym, the same in all records of a collection and in no other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.history.personal import Redactor, mentions_redacted
from training.history.records import Document, MergeRequestRecord, Person, Quiet, Record, Remark, SourceFile
from training.history.settings import RedactSettings
from training.history.stages import RECORDS, Broken, Made, Stage, StageManifest, counts_of, read_records
from training.jsonl import JsonlWriter

REPLACED = "replaced.jsonl"
_PSEUDONYM = 10


def redact(source: Path, out: Path, settings: RedactSettings, salt: str) -> StageManifest:
    """Write the records of `source` redacted, and beside them which record had what replaced, without it."""
    stage = Stage("redact", out, (source,), settings, {"salt": hashlib.sha256(salt.encode()).hexdigest()})
    return stage.run(lambda: _redact(source, out, settings, salt))


def _redact(source: Path, out: Path, settings: RedactSettings, salt: str) -> Made:
    names = {person.name for record in read_records(source, Broken()) for person in people(record)}
    redactor = Redactor(names, personal=settings.personal, entropy=settings.entropy)
    broken, counts = Broken(), Counter[str]()
    with JsonlWriter(out / RECORDS) as records, JsonlWriter(out / REPLACED) as replaced:
        for record in read_records(source, broken):
            work = _Work(redactor, salt, settings.personal)
            clean = work.record(record)
            records.write(clean.model_dump(mode="json", exclude_defaults=True) | {"kind": clean.kind})
            if work.fields:
                replaced.write({"id": record.id, "url": record.url, "fields": work.fields})
            counts.update(work.counts)
    return (RECORDS, REPLACED), counts_of(broken, {"replaced": counts})


def people(record: Record) -> Iterator[Person]:
    """Yield everybody who wrote something of a record."""
    yield record.author
    if isinstance(record, Remark):
        yield from (reply.author for reply in record.replies)


def pseudonym(person: Person, salt: str) -> Person:
    """Return the person under another name; what they are to the project stays."""
    code = hmac.new(salt.encode(), person.username.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
    return Person(username=f"p-{code[:_PSEUDONYM]}", bot=person.bot, role=person.role)


@dataclass(slots=True)
class _Work:
    """One record's replacements."""

    redactor: Redactor
    salt: str
    personal: bool
    counts: Counter[str] = field(default_factory=Counter)
    fields: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    def record(self, record: Record) -> Record:
        author = self.person(record.author)
        match record:
            case Remark():
                replies = tuple(
                    reply.model_copy(
                        update={
                            "author": self.person(reply.author),
                            "body": self.prose("replies", reply.body),
                        }
                    )
                    for reply in record.replies
                )
                body, hunk = self.prose("body", record.body), self.hunk(record.hunk)
                changes = {"author": author, "body": body, "hunk": hunk, "replies": replies}
            case Quiet():
                changes = {"author": author, "hunk": self.hunk(record.hunk)}
            case MergeRequestRecord():
                title, text = self.prose("title", record.title), self.prose("description", record.description)
                changes = {"author": author, "title": title, "description": text}
            case Document():
                changes = {"author": author, "text": self.prose("text", record.text)}
            case SourceFile():
                changes = {"author": author, "text": self.code("text", record.text)}
        return record.model_copy(update=changes)

    def person(self, person: Person) -> Person:
        return pseudonym(person, self.salt) if self.personal else person

    def code(self, name: str, text: str) -> str:
        found = self.redactor(text)
        self._count(name, found.counts)
        return found.text

    def prose(self, name: str, text: str) -> str:
        clean = self.code(name, text)
        if not self.personal:
            return clean
        found = mentions_redacted(clean)
        self._count(name, found.counts)
        return found.text

    def hunk(self, hunk: str) -> str:
        """Return the hunk, the signs of its rows kept: a secret may go over several rows."""
        if not hunk:
            return hunk
        header, *rows = hunk.split("\n")
        texts = self.code("hunk", "\n".join(row[1:] for row in rows)).split("\n")
        return "\n".join([header, *(row[:1] + text for row, text in zip(rows, texts, strict=True))])

    def _count(self, name: str, counts: Counter[str]) -> None:
        for kind, count in counts.items():
            self.counts[kind] += count
            self.fields[name][kind] = self.fields[name].get(kind, 0) + count
