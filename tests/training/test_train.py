"""`tenken-train sft` up to the trainer: what is read, what trains, and what bad input says."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import ConfigError, DataError
from training.__main__ import main
from training.examples import ExampleSettings
from training.train import DataKind, kind_of_data, load_plan_settings, read_training_rows, weighted

DIFF = "@@ -0,0 +1,2 @@\n+x = eval(y)\n+print(x)"
FINDING = {"line": 1, "category": "security", "severity": "major", "message": "Do not evaluate input."}


def _items(path: Path, splits: list[str | None]) -> Path:
    rows = [
        {
            "id": str(n),
            "diff": DIFF,
            "path": "a.py",
            "language": "python",
            "findings": [FINDING],
            "split": split,
        }
        for n, split in enumerate(splits)
    ]
    text = "".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_review_items_train_by_their_split(tmp_path: Path) -> None:
    """Unmarked and train items train, dev items validate by their line scores, test items do nothing."""
    data = _items(tmp_path / "items.jsonl.gz", [None, "train", "dev", "test"])
    rows, held_out = read_training_rows([data], ExampleSettings(nothing_share=0))
    assert [row.kind for row in rows] == ["labels", "text", "labels", "text"]
    assert [row.kind for row in held_out] == ["labels"]


def test_files_of_both_kinds_mix(tmp_path: Path) -> None:
    """Prompt/completion rows are told apart from review items by their first row, blank lines or not."""
    plain = tmp_path / "rows.jsonl"
    plain.write_text('\n{"prompt": "a", "completion": "b"}\n')
    items = _items(tmp_path / "items.jsonl", ["train"])
    assert (kind_of_data(plain), kind_of_data(items)) == (DataKind.ROWS, DataKind.REVIEW)
    rows, _ = read_training_rows([plain, items], ExampleSettings(tasks=frozenset({"score"})))
    assert [row.kind for row in rows] == ["text", "labels"]


def test_files_mix_by_weight(tmp_path: Path) -> None:
    """One is used twice, of the other a drawn part; what validates is used once, whatever the weight."""
    team = _items(tmp_path / "team.jsonl", ["train", "train", "dev"])
    starter = tmp_path / "starter.jsonl"
    starter.write_text("".join(json.dumps({"prompt": "a", "completion": str(n)}) + "\n" for n in range(10)))
    settings = ExampleSettings(tasks=frozenset({"score"}))
    rows, held_out = read_training_rows([team, starter], settings, [2, 0.3])
    assert [row.kind for row in rows] == ["labels"] * 4 + ["text"] * 3
    assert len(held_out) == 1
    assert read_training_rows([team, starter], settings, [2, 0.3])[0] == rows
    other = replace(settings, seed=1)
    assert read_training_rows([team, starter], other, [2, 0.3])[0] != rows


@pytest.mark.parametrize(("weight", "count"), [(1.0, 10), (0.25, 2), (2.5, 25), (0.001, 0), (3, 30)])
def test_weights_are_how_often_each_is_used(weight: float, count: int) -> None:
    """None is used more than once more than another."""
    used = Counter(weighted(list(range(10)), weight, random.Random(0)))
    assert used.total() == count
    assert max(used.values(), default=0) - min(used[n] for n in range(10)) <= 1


def test_a_file_is_never_left_out_silently(tmp_path: Path) -> None:
    """A weight that draws nothing of it is an error that names the file."""
    data = _items(tmp_path / "items.jsonl", ["train", "train"])
    with pytest.raises(DataError, match=r"items\.jsonl: a weight of 0\.1 draws none of its 2"):
        read_training_rows([data], ExampleSettings(), [0.1])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weight", "0"], "above 0"),
        (["--weight", "nan"], "above 0"),
        (["--weight", "much"], "above 0"),
        (["--weight", "1", "--weight", "2"], "--weight is given 2 times, --data 1 times"),
    ],
)
def test_weights_that_make_no_sense(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and what is wrong, before anything is read."""
    arguments = ["sft", "--data", str(tmp_path / "x"), "--out", str(tmp_path / "out"), *words]
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]\n", '{"text": "x"}\n', "{broken\n"])
def test_data_of_neither_kind_is_refused(tmp_path: Path, text: str) -> None:
    """The error names the file and its first line."""
    path = tmp_path / "what.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=r"what\.jsonl, line 1"):
        kind_of_data(path)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("rank = 0", "rank"),
        ("ranks = 8", "ranks"),
        ("[examples]\npasses = 'many'", "passes"),
        ("[examples]\npases = 2", r"examples\.pases"),
        ("rank =", "Invalid value"),
    ],
)
def test_settings_errors_name_the_key(tmp_path: Path, toml: str, said: str) -> None:
    """A wrong value and an unknown key are errors with file and key, in both tables."""
    path = tmp_path / "s.toml"
    path.write_text(toml)
    with pytest.raises(ConfigError, match=said):
        load_plan_settings(path)


def test_the_starter_settings_load() -> None:
    """What the package says about the starter's training is a valid settings file."""
    settings, examples = load_plan_settings(Path(__file__).parents[2] / "training" / "starter.toml")
    assert (settings.rank, examples.passes) == (32, 7)


def test_bad_data_ends_the_command_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says file, line and field; nothing is trained."""
    data = tmp_path / "rows.jsonl"
    data.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"}\n')
    settings = tmp_path / "settings.toml"
    settings.write_text('backend = "trl"')  # Unsloth would patch the libraries under the other tests
    paths = {
        "--data": data,
        "--settings": settings,
        "--out": tmp_path / "out",
        "--base-dir": tmp_path / "base",
    }
    code = main(["sft", *(word for option, path in paths.items() for word in (option, str(path)))])
    assert code == 2
    assert "rows.jsonl" in (error := capsys.readouterr().err)
    assert "completion" in error
