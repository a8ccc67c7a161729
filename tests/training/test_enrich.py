"""The preparation step from file to file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from training.enrich import main
from training.records import ReviewItem, read_review_items, write_review_items

LONG = "Comparison to `None` should be `cond is None`. " + "This is so for very many reasons. " * 9


def item(**changes: object) -> ReviewItem:
    finding = {"line": 1, "category": "style", "severity": "info", "rule": "E711", "message": LONG}
    fields = {"id": "a", "diff": "@@ -0,0 +1 @@\n+a == None", "path": "a.py", "language": "python"}
    return ReviewItem.model_validate(fields | {"findings": [finding]} | changes)


def test_a_file_is_enriched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Findings get suggestion, short message with the original, and Japanese; unwanted tiers go."""
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl.gz"
    write_review_items(source, [item(), item(id="b", tier="human")])
    assert main([str(source), str(target), "--drop-tier", "human"]) == 0
    (enriched,) = read_review_items(target)
    (finding,) = enriched.findings
    assert finding.suggestion == "a is None"
    assert len(finding.message) <= 240
    assert finding.message_full == LONG
    assert finding.message_ja is not None
    assert "`None`" in finding.message_ja
    assert "with suggestion 1, 1 rules" in capsys.readouterr().out


def test_enriching_twice_changes_nothing(tmp_path: Path) -> None:
    """The step is idempotent: the original message is still the original."""
    paths = [tmp_path / f"{name}.jsonl" for name in ("one", "two", "three")]
    write_review_items(paths[0], [item()])
    for source, target in pairwise(paths):
        assert main([str(source), str(target)]) == 0
    assert paths[1].read_bytes() == paths[2].read_bytes()


def test_bad_input_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says where, and no target is written."""
    source = tmp_path / "in.jsonl"
    source.write_text("{}\n", encoding="utf-8")
    assert main([str(source), str(tmp_path / "out.jsonl")]) == 2
    assert f"{source}, line 1, id" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()
