"""Label: remarks -> review items that say what to find and what to leave alone, as the team decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from engine.errors import DataError, DiffError
from training.history.items import Labelled, Labeller
from training.history.records import Quiet, Record, Remark
from training.history.settings import LabelSettings
from training.history.stages import Broken, Made, Stage, StageManifest, counts_of, read_records
from training.history.verdicts import Label, read_feedback
from training.jsonl import JsonlWriter
from training.records import ReviewItem

ITEMS = "items.jsonl"


def label(source: Path, out: Path, settings: LabelSettings, feedback: Path | None = None) -> StageManifest:
    """Write the items of all merge requests; `feedback` is an export of `tenken feedback`."""
    inputs = (source, feedback) if feedback else (source,)
    stage = Stage("label", out, inputs, settings)
    return stage.run(lambda: _label(source, out, settings, feedback))


def _label(source: Path, out: Path, settings: LabelSettings, feedback: Path | None) -> Made:
    work = _Work(Labeller(settings, read_feedback(feedback) if feedback else {}), settings.clean_share)
    broken = Broken()
    with JsonlWriter(out / ITEMS) as writer:
        for _, records in groupby(read_records(source, broken), key=_merge_request):
            for item in work.items(records):
                writer.write(item.to_json())
    counts = {"items": work.kinds, "labels": work.labels, "label_sources": work.sources}
    return (ITEMS,), counts_of(broken, counts)


def _merge_request(record: Record) -> int | None:
    return None if not isinstance(record, (Remark, Quiet)) else record.mr


class _Work:
    """Makes the items of one merge request after the other, and counts them."""

    def __init__(self, labeller: Labeller, clean_share: float) -> None:
        self._labeller, self._clean_share = labeller, clean_share
        self._clean_due = 0.0
        self.kinds: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()

    def items(self, records: Iterator[Record]) -> Iterator[ReviewItem]:
        """Yield the items with findings, then as many clean ones as are due."""
        remarks: list[Labelled] = []
        quiet: list[Quiet] = []
        for record in records:
            if isinstance(record, Quiet):
                quiet.append(record)
            elif isinstance(record, Remark) and (labelled := self._labelled(record)):
                remarks.append(labelled)
        for item in self._labeller.items(remarks):
            self.kinds["with findings" if item.findings else "rejected alone"] += 1
            self._clean_due += self._clean_share
            yield item
        yield from self._clean(quiet)

    def _labelled(self, remark: Remark) -> Labelled | None:
        try:
            labelled = self._labeller.labelled(remark)
        except DiffError:
            self.labels["hunk that cannot be read"] += 1
            return None
        if labelled is None:
            self.labels["left out: nothing known or said"] += 1
            return None
        self.labels[labelled.label] += 1
        if labelled.label is not Label.UNKNOWN:
            self.sources[str(labelled.finding.to_json()["label_source"])] += 1
        return labelled

    def _clean(self, quiet: list[Quiet]) -> Iterator[ReviewItem]:
        for record in quiet:
            if self._clean_due < 1:
                return
            try:
                item = self._labeller.clean_item(record)
            except (DiffError, DataError):
                item = None
            if item is not None:
                self._clean_due -= 1
                self.kinds["clean"] += 1
                yield item
