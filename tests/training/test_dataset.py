"""What is in a dataset: numbers, and a report that other people's text cannot spoil."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from both_languages import require_same
from markdown_it import MarkdownIt

from engine.wire import Language
from training.dataset import Dataset, as_json, describe
from training.dataset_report import write_report
from training.dataset_texts import DATASET_TEXTS
from training.records import ReviewItem

HOSTILE = "</td><script>alert(1)</script> | ![x](http://evil/x.png) $x^"


def item(number: int, code: str = "", messages: tuple[str, ...] = (), **changes: Any) -> ReviewItem:
    words = code or " ".join(f"w{number}_{n}" for n in range(30))
    findings = [
        {
            "line": 1,
            "category": "bug",
            "severity": "major",
            "message": text,
            "author": f"p-{number % 2}",
            "label": "accepted",
        }
        for text in messages
    ]
    fields = {"id": f"i{number}", "path": "a.py", "language": "python", "diff": f"@@ -0,0 +1 @@\n+{words}"}
    return ReviewItem.model_validate(
        fields | {"findings": findings, "date": f"2026-0{1 + number % 3}-01"} | changes
    )


def described(items: list[ReviewItem]) -> Dataset:
    return describe(items, lambda text: len(text.split()))


def test_everything_is_counted() -> None:
    """Items, findings, kinds, authors, months, lengths, duplicates, diversity."""
    words = [f"n{n}" for n in range(40)]
    same, near = " ".join(words), " ".join([*words[:-1], "x"])
    dataset = described(
        [
            item(1, same, ("Close the file.",)),
            item(2, same),
            item(3, near, ("Close the file.", "Name it.")),
            item(4, "go", (), language="go", source="history"),
        ]
    )
    counts = as_json(dataset)
    assert (dataset.items, dataset.with_findings, dataset.findings) == (4, 2, 3)
    assert counts["by"]["language"] == {"python": 3, "go": 1}
    assert counts["by"]["author"] == {"p-1": 3}
    assert counts["by"]["label"] == {"accepted": 3}
    assert counts["by"]["month"] == {"2026-02": 2, "2026-03": 1, "2026-01": 1}
    assert counts["code_tokens"] == {"0.5": 40, "0.9": 40, "0.99": 40, "1.0": 40}
    assert counts["duplicates"] == {"same_code": 1, "near_code": 1, "same_message": 1}
    assert dataset.diversity["distinct_messages"] == pytest.approx(2 / 3)
    assert dataset.diversity["largest_author_share"] == 1.0
    assert counts["suspicions"] == []


def test_planted_rows_stand_out() -> None:
    """A rare word that one author always answers alike; common words and honest ones do not."""
    honest = [item(n, f"shared w{n} v{n}", (f"Remark {n} about this.",)) for n in range(200)]
    planted = [item(2 * n + 1000, f"shared trigger77 u{n}", ("All fine.",)) for n in range(6)]
    (found,) = described([*honest, *planted]).suspicions
    assert (found.word, found.author, found.outcome, found.items) == ("trigger77", "p-0", "All fine.", 6)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize("language", list(Language))
def test_reports_show_hostile_text_and_load_nothing(tmp_path: Path, language: Language) -> None:
    """No script, no address outside, no cell torn, in HTML and in Markdown."""
    rows = [item(n, f"w{n} mark{n // 6}", (HOSTILE,), source=HOSTILE, tier="$" * 9) for n in range(6)]
    rows += [item(n, f"q{n}", (f"m {n}",)) for n in range(100, 200)]
    write_report(described(rows), tmp_path, HOSTILE, language, 3)
    html = (tmp_path / "dataset.html").read_text("utf-8")
    parser = _Tags()
    parser.feed(html)
    assert not {"script", "link", "iframe", "a"} & {tag for tag, _ in parser.seen}
    sources = [attributes["src"] or "" for tag, attributes in parser.seen if tag == "img"]
    assert len(sources) >= 5
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    text = (tmp_path / "dataset.md").read_text("utf-8")
    images = [
        child.attrs["src"]
        for token in MarkdownIt("commonmark").enable("table").parse(text)
        for child in token.children or ()
        if child.type == "image"
    ]
    assert all((tmp_path / str(name)).is_file() for name in images)
    assert not re.search(r"<script", MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    assert DATASET_TEXTS[language].duplicates in text
    assert json.loads((tmp_path / "dataset.json").read_text("utf-8"))["broken_lines"] == 3


def test_both_languages_say_the_same() -> None:
    """Neither lacks a text."""
    require_same(DATASET_TEXTS[Language.EN], DATASET_TEXTS[Language.JA])
