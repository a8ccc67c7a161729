"""What the team accepted and rejected, out of review items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DataError
from engine.finetune import preference
from engine.finetune.record import Likelihoods, PreferenceRecord, TrainingRun
from engine.finetune.settings import Backend, FinetuneSettings, PreferenceSettings
from engine.prompts import write_suffix
from training.__main__ import main
from training.examples import ExampleSettings
from training.preferences import read_judged

DIFF = "@@ -0,0 +1,3 @@\n+x = eval(y)\n+print(x)\n+run(x)"


def finding(line: int, message: str, label: str | None = None) -> dict[str, Any]:
    made = {"line": line, "category": "security", "severity": "major", "message": message}
    return made if label is None else made | {"label": label}


def write(path: Path, *items: dict[str, Any]) -> Path:
    common = {"diff": DIFF, "path": "a.py", "language": "python", "findings": []}
    rows = [{"id": str(number), **common, **item} for number, item in enumerate(items)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_only_what_was_judged_counts(tmp_path: Path) -> None:
    """Accepted findings and rejected ones, each as it is written about its line; the unknown only score."""
    data = write(
        tmp_path / "items.jsonl",
        {
            "findings": [
                finding(1, "Do not evaluate input.", "accepted"),
                finding(3, "Why run it?", "unknown"),
            ],
            "rejected": [finding(2, "Use a logger.")],
        },
    )
    train, held_out = read_judged([data], ExampleSettings())
    assert [(one.accepted, "evaluate" in one.row.completion) for one in train.texts] == [
        (True, True),
        (False, False),
    ]
    assert "Use a logger." in train.texts[1].row.completion
    assert {one.row.weight for one in train.texts} == {1.0}
    assert len({one.row.prompt for one in train.texts}) == 1
    (scores,) = train.scores
    assert [block.label for block in scores.blocks] == [" security", " ok", " security"]
    assert not held_out.texts


def test_texts_are_asked_for_as_the_engine_does(tmp_path: Path) -> None:
    """The suffix is that of the finding's own line and category."""
    data = write(tmp_path / "items.jsonl", {"findings": [finding(2, "Use a logger.", "accepted")]})
    (text,) = read_judged([data], ExampleSettings())[0].texts
    from engine.findings import Category
    from engine.wire import Language
    from training.records import read_review_items

    chunk = next(read_review_items(data)).to_chunk()
    assert text.row.suffix == write_suffix(chunk, chunk.commentable[1], Category.SECURITY, Language.EN)


def test_splits_are_kept_apart(tmp_path: Path) -> None:
    """Unmarked and train items train, dev items are held out, test items do nothing."""
    findings = [finding(1, "Do not evaluate input.", "accepted")]
    items = [{"findings": findings, "split": split} for split in ("train", "dev", "test")]
    train, held_out = read_judged(
        [write(tmp_path / "items.jsonl", *items, {"findings": findings})], ExampleSettings()
    )
    assert (len(train.texts), len(train.scores)) == (2, 2)
    assert (len(held_out.texts), len(held_out.scores)) == (1, 1)


@pytest.mark.parametrize(
    ("rejected", "field"),
    [([{"line": 0}], "line"), ([finding(1, "")], "message"), ("all of it", "")],
)
def test_damaged_rejections_are_named(tmp_path: Path, rejected: object, field: str) -> None:
    """The error says file, item and field."""
    data = write(tmp_path / "items.jsonl", {"rejected": rejected})
    with pytest.raises(DataError, match=rf"items\.jsonl, item 0, rejected.*{field}"):
        read_judged([data], ExampleSettings())


def test_command_says_what_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many of each, the likelihoods before and after, and where the adapter is."""
    run = tuned_run(tmp_path)
    given: list[Any] = []

    def prefer(*arguments: Any, **options: Any) -> TrainingRun:
        given[:] = arguments
        return run

    monkeypatch.setattr(preference, "prefer", prefer)
    data = write(tmp_path / "items.jsonl", {"findings": [finding(1, "Do not.", "accepted")]})
    paths = {"--data": data, "--adapter": tmp_path / "a", "--base-dir": tmp_path, "--out": tmp_path / "out"}
    assert main(["prefer", *(word for option, path in paths.items() for word in (option, str(path)))]) == 0
    base, adapter, train, held_out, settings, out = given
    assert (base, adapter, out) == (tmp_path, tmp_path / "a", tmp_path / "out")
    assert (len(train.texts), len(held_out.texts), settings) == (1, 0, PreferenceSettings())
    assert capsys.readouterr().out.splitlines() == [
        "12 accepted and 11 rejected texts, 6 steps, 3 s",
        "nats a token on held-out texts, before -> after:",
        "  accepted  2.0000 -> 1.5000",
        "  rejected  2.0000 -> 2.5000",
        "  scores    -",
        str(run.adapter),
    ]


def tuned_run(out: Path) -> TrainingRun:
    return TrainingRun(
        adapter=out / "adapter",
        settings=FinetuneSettings(),
        preference=PreferenceRecord(
            run="a run",
            settings=PreferenceSettings(),
            accepted=12,
            rejected=11,
            held_out=True,
            before=Likelihoods(accepted=2.0, rejected=2.0, scores=None),
            after=Likelihoods(accepted=1.5, rejected=2.5, scores=None),
        ),
        backend=Backend.TRL,
        base="base",
        base_sha256=None,
        dtype="float32",
        data_fingerprint="f00d",
        rows=23,
        validation_rows=4,
        dropped_too_long=0,
        steps=6,
        best_step=None,
        tokens=1000,
        seconds=3.2,
        tokens_per_second=312.5,
        history=(),
        versions={},
        device="cpu",
    )


def test_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that holds no adapter is named, exit code 3; a wrong setting with its key, exit code 2."""
    data = write(tmp_path / "items.jsonl", {"findings": [finding(1, "Do not.", "accepted")]})
    base, settings = tmp_path / "base", tmp_path / "prefer.toml"
    base.mkdir()
    (base / "config.json").write_text("{}", encoding="utf-8")
    arguments = ["prefer", "--data", str(data), "--adapter", str(tmp_path), "--base-dir", str(base)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 3
    assert "is no adapter directory" in capsys.readouterr().err
    settings.write_text("betta = 1", encoding="utf-8")
    assert main([*arguments, "--out", str(tmp_path / "out"), "--settings", str(settings)]) == 2
    assert "prefer.toml: betta" in capsys.readouterr().err
