"""A dataset's numbers as files: dataset.json for programs, dataset.md and dataset.html for people.

The HTML is one file that loads nothing. Whatever the data says is escaped: it is other people's text.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import MissingExtra, unimportable
from engine.sanitize import inline, one_line
from engine.wire import Language
from training.dataset import Dataset, Lengths, as_json
from training.dataset_plots import draw
from training.dataset_texts import DATASET_TEXTS, DatasetTexts
from training.jsonl import replaced

_MOST = 15
_TEMPLATE = Path(__file__).with_name("dataset.html.j2")


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its title."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def write_report(dataset: Dataset, out: Path, name: str, language: Language, broken: int) -> None:
    """Write all files into `out`, which exists. Plots are left out where nothing can draw."""
    texts = DATASET_TEXTS[language]
    try:
        plots, note = draw(dataset, out, texts), ""
    except MissingExtra as error:
        plots, note = [], texts.not_drawn.format(reason=error)
    found = list(sections(dataset, texts, broken))
    _write(
        out / "dataset.json",
        json.dumps(as_json(dataset) | {"broken_lines": broken}, ensure_ascii=False, indent=1),
    )
    _write(out / "dataset.md", markdown(found, texts, name, plots, note))
    _write(out / "dataset.html", _html(found, texts, name, language, out, plots, note))


def sections(dataset: Dataset, texts: DatasetTexts, broken: int) -> Iterator[Section]:
    """Yield the report's tables."""
    head = (texts.value, texts.count)
    yield Section(
        texts.counts,
        head,
        (
            (texts.items, f"{dataset.items:,}"),
            (texts.with_findings, f"{dataset.with_findings:,}"),
            (texts.findings, f"{dataset.findings:,}"),
            (texts.broken, f"{broken:,}"),
        ),
    )
    yield Section(
        texts.lengths,
        (texts.tokens, texts.share, texts.longest),
        (_length(texts.code, dataset.code_tokens), _length(texts.messages, dataset.message_tokens)),
    )
    for key, counts in dataset.by.items():
        rows = tuple((one_line(value), f"{count:,}") for value, count in counts.most_common(_MOST))
        rest = len(counts) - len(rows)
        yield Section(texts.by[key], head, rows, f"+{rest:,}" if rest else "")
    same = dataset.duplicates
    yield Section(
        texts.duplicates,
        head,
        (
            (texts.same_code, f"{same.same_code:,}"),
            (texts.near_code, f"{same.near_code:,}"),
            (texts.same_message, f"{same.same_message:,}"),
        ),
    )
    rows = tuple((texts.measures[key], f"{value:.3f}") for key, value in dataset.diversity.items())
    yield Section(texts.diversity, head, rows)
    yield Section(
        texts.suspicions,
        (texts.word, texts.by["author"], texts.outcome, texts.count),
        tuple(
            (one_line(each.word), one_line(each.author), one_line(each.outcome)[:80], str(each.items))
            for each in dataset.suspicions[:_MOST]
        ),
        texts.suspicions_about if dataset.suspicions else texts.no_suspicions,
    )


def markdown(
    found: Sequence[Section], texts: DatasetTexts, name: str, plots: Sequence[tuple[str, str]], note: str
) -> str:
    """Return the report as Markdown."""
    parts = [f"# {texts.title}: {inline(name)}"]
    for section in found:
        parts.append(f"## {section.title}")
        if section.note:
            parts.append(section.note)
        if section.rows:
            lines = [section.head, ("---",) * len(section.head), *map(_cells, section.rows)]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    parts += [f"## {texts.plots}", "\n\n".join(f"![{title}]({file})" for title, file in plots) or note]
    return "\n\n".join(parts) + "\n"


def _html(
    found: Sequence[Section],
    texts: DatasetTexts,
    name: str,
    language: Language,
    out: Path,
    plots: Sequence[tuple[str, str]],
    note: str,
) -> str:
    try:
        from jinja2 import Environment
    except ImportError as error:
        raise unimportable(error, "jinja2", "train") from error
    template = Environment(autoescape=True, trim_blocks=True).from_string(_TEMPLATE.read_text("utf-8"))
    drawn = [(title, base64.b64encode((out / file).read_bytes()).decode()) for title, file in plots]
    return template.render(
        sections=found, texts=texts, name=name, language=language.value, plots=drawn, note=note
    )


def _length(name: str, lengths: Lengths) -> tuple[str, ...]:
    shares = " / ".join(f"{lengths.at(share):,}" for share in (0.5, 0.9, 0.99))
    return name, shares, f"{lengths.at(1.0):,}"


def _cells(row: Sequence[str]) -> tuple[str, ...]:
    return tuple(inline(cell) for cell in row)


def _write(path: Path, text: str) -> None:
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace")
