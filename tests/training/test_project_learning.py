"""The learning experiment but for its GPU: what is prepared, trained on, and made of raw numbers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from engine.finetune.rows import LabelRow, TextRow
from tests.benchmarks import project_learning, project_learning_work
from training.records import read_review_items, write_review_items

pytest.importorskip("rensa")
pytest.importorskip("sacrebleu")
pytest.importorskip("sklearn")


def row(name: str, number: int, *, comment: bool = True, placed: bool = True) -> dict[str, object]:
    """An item of the merge request of its number; a comment that is not placed stands at the hunk's end."""
    words = [f"{name}{number}word{at} = call_{number * at}(x{number})" for at in range(1, 5)]
    finding = {
        "line": 2 if placed else 4,
        "category": "docs",
        "severity": "minor",
        "message": f"Say why {number}.",
        "author": "a",
    }
    return {
        "id": f"{name}-{number}",
        "diff": "\n".join(["@@ -0,0 +1,4 @@", *(f"+{word}" for word in words)]),
        "path": "A.java",
        "language": "java",
        "pr": number // 2,
        "date": f"2020-01-{1 + number // 2:02}T00:00:00Z",
        "url": "https://example.com/1",
        "localisable": placed,
        "findings": [finding] if comment else [],
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two projects to train on, one to measure on, and a starter."""
    from training.records import ReviewItem

    folder = tmp_path_factory.mktemp("data")
    for name in ("one", "two", "three"):
        rows = [row(name, number, comment=number % 5 != 4, placed=number % 2 == 0) for number in range(40)]
        items = [ReviewItem.model_validate(each) for each in rows]
        write_review_items(folder / f"project_{name}_early.jsonl.gz", items)
    starter = [row("starter", number) | {"split": "train", "tier": "core"} for number in range(6)]
    write_review_items(folder / "starter.jsonl.gz", [ReviewItem.model_validate(each) for each in starter])
    command = ["prepare", "--data", str(folder), "--out", str(folder / "out"), "--replay", "4"]
    projects = ["--train", "one", "two", "--measure-only", "three"]
    assert project_learning.main([*command, "--measure-items", "3", *projects]) == 0
    return folder / "out"


def options(prepared: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    project_learning_work.add_shared_options(parser)
    return parser.parse_args(["--data", str(prepared), "--base", "none", "--out", "none", *more])


def test_the_latest_merge_requests_are_held_out(prepared: Path) -> None:
    """Whole ones; what is only measured on has no other items, and no address or author is kept."""
    items = list(read_review_items(prepared / "one.jsonl.gz"))
    later = {item.model_extra["pr"] for item in items if item.split == "dev" and item.model_extra}
    earlier = {item.model_extra["pr"] for item in items if item.split == "train" and item.model_extra}
    assert max(earlier) < min(later)
    assert 6 <= sum(item.split == "dev" for item in items) <= 8
    assert [item.split for item in read_review_items(prepared / "three.jsonl.gz")] == ["dev"] * 3
    assert "example.com" not in items[0].model_dump_json()
    assert "author" not in items[0].model_dump_json()


def test_places_are_learned_where_they_can_be(prepared: Path) -> None:
    """No line scores of hunks that end at their comment; messages of all; the starter's lines besides."""
    rows = project_learning_work.training_rows(options(prepared), "own", "one")
    messages = [each for each in rows if isinstance(each, TextRow)]
    scored = [each for each in rows if isinstance(each, LabelRow)]
    assert sum("Say why" in each.completion for each in messages) > len(scored) - 4
    ends = [each for each in scored if each.blocks[-1].label == " docs" and "starter" not in each.prompt]
    assert ends == []
    assert sum("starter" in each.prompt for each in scored) == 4


def test_the_control_differs_in_what_is_said_alone(prepared: Path) -> None:
    """The same lines, the same messages, in other places."""
    own, shuffled = (
        project_learning_work.training_rows(options(prepared), kind, "one") for kind in ("own", "shuffled")
    )
    said = [
        {(each.prompt, each.suffix): each.completion for each in rows if isinstance(each, TextRow)}
        for rows in (own, shuffled)
    ]
    spoken = [{place: text for place, text in found.items() if text != "null"} for found in said]
    assert spoken[0].keys() == spoken[1].keys()
    assert sorted(spoken[0].values()) == sorted(spoken[1].values())
    assert not any(spoken[0][place] == spoken[1][place] for place in spoken[0])
    labels = [[each for each in rows if isinstance(each, LabelRow)] for rows in (own, shuffled)]
    assert sorted(map(str, labels[0])) == sorted(map(str, labels[1]))


def test_raw_numbers_become_tables(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An adapter that halves the surprise of every comment, beside the base; a cut line is no harm."""
    held_out = [item for item in read_review_items(prepared / "one.jsonl.gz") if item.split == "dev"]
    comments = [place for place, item in enumerate(held_out) if item.findings]
    placed = [place for place, item in enumerate(held_out) if project_learning_work.is_placed(item)]
    raw = tmp_path / "raw.jsonl"
    with raw.open("w") as file:
        for system, nats, scores in (("own:one", 7.0, [0.1, 0.9, 0.1, 0.1]), ("base", 14.0, [0.1] * 4)):
            found = [[place, nats, 10] for place in comments]
            about = {"system": system, "data": "one"}
            print(json.dumps(about | {"what": "likelihood", "found": found}), file=file)
            lines = [[place, scores] for place in placed]
            print(json.dumps(about | {"what": "lines", "found": lines}), file=file)
            said = ["Say why."] * 3 if nats < 10 else [""] * 3
            print(json.dumps(about | {"what": "texts", "found": said}), file=file)
        print('{"system": "cut', file=file, end="")
    out = tmp_path / "results.json"
    command = ["report", "--data", str(prepared), "--raw", str(raw), "--out", str(out)]
    assert project_learning.main([*command, "--train", "one", "two", "--measure-only", "three"]) == 0
    found = json.loads(out.read_text())["projects"]["one"]
    bits = found["bits_per_token"]
    assert bits["systems"]["own:one"]["value"] == pytest.approx(0.7 / 0.6931, rel=1e-3)
    assert bits["own_minus"]["base"]["value"] == pytest.approx(-0.7 / 0.6931, rel=1e-3)
    assert found["top1_line"]["systems"]["own:one"]["value"] == 1
    assert found["top1_line"]["systems"]["base"]["value"] == 0.25
    assert found["top1_line"]["systems"]["random"]["value"] == 0.25
    assert found["chrf"]["systems"]["own:one"]["value"] > 50
    assert found["chrf"]["systems"]["base"]["value"] == 0
    assert 0 < found["chrf"]["systems"]["retrieval"]["value"] <= 100
    assert "| **own adapter** | 1.01" in capsys.readouterr().out
    assert "cut off" not in out.read_text()
