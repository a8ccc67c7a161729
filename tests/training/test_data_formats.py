"""Other tools' formats: what is read, what is written, and where an error is said to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError
from training.__main__ import main
from training.examples import ExampleSettings
from training.formats.conversations import Conversation
from training.formats.dialects import DIALECTS, detect
from training.formats.files import read_conversations, write_conversations
from training.formats.rows import text_rows
from training.train import DataKind, kind_of_data, read_training_rows

FORMATS = list(DIALECTS)
SPOKEN = st.text(min_size=1, max_size=40).filter(lambda text: bool(text.strip()))
TALKS = st.builds(
    Conversation.of_pairs,
    st.lists(st.tuples(SPOKEN, SPOKEN), min_size=1, max_size=4).map(tuple),
    st.one_of(st.just(""), SPOKEN),
)
ROWS: dict[str, list[dict[str, Any]]] = {
    "alpaca": [
        {"instruction": "Add.", "input": "1, 2", "output": "3", "id": 7},
        {"instruction": "Go on.", "output": "4", "history": [["Add.", "3"]], "system": "Count."},
    ],
    "sharegpt": [
        {"conversations": [{"from": "human", "value": "Add.\n\n1, 2"}, {"from": "gpt", "value": "3"}]},
        {
            "system": "Count.",
            "conversations": [
                {"from": "user", "value": "Add."}, {"from": "assistant", "value": "3"},
                {"from": "human", "value": "Go on."}, {"from": "model", "value": "4"},
            ],
        },
    ],
    "messages": [
        {"messages": [{"role": "user", "content": "Add.\n\n1, 2"}, {"role": "assistant", "content": "3"}]},
        {
            "messages": [
                {"role": "system", "content": "Count."},
                {"role": "user", "content": "Add."}, {"role": "assistant", "content": "3"},
                {"role": "user", "content": "Go on."}, {"role": "assistant", "content": "4"},
            ],
        },
    ],
    "prompt-completion": [
        {"prompt": "Add.\n\n1, 2", "completion": "3"},
        {
            "prompt": [
                {"role": "system", "content": "Count."},
                {"role": "user", "content": "Add."}, {"role": "assistant", "content": "3"},
                {"role": "user", "content": "Go on."},
            ],
            "completion": [{"role": "assistant", "content": "4"}],
        },
    ],
}  # fmt: skip
MEANT = [
    Conversation.of_pairs((("Add.\n\n1, 2", "3"),)),
    Conversation.of_pairs((("Add.", "3"), ("Go on.", "4")), "Count."),
]


def written(path: Path, rows: list[Any]) -> Path:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text(text + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_known_and_read(tmp_path: Path, name: str) -> None:
    """By its keys, several turns and a system message included; keys that are not its own do no harm."""
    assert all(detect(row) is DIALECTS[name] for row in ROWS[name])
    assert list(read_conversations(written(tmp_path / "data.jsonl", ROWS[name]))) == MEANT
    pretty = tmp_path / "data.json"
    pretty.write_text(json.dumps(ROWS[name], indent=2), encoding="utf-8")
    assert list(read_conversations(pretty)) == MEANT


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".json"])
@pytest.mark.parametrize("name", FORMATS)
@given(talks=st.lists(TALKS, max_size=4))
def test_what_was_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, name: str, suffix: str, talks: list[Conversation]
) -> None:
    """In every format and kind of file, whatever is said."""
    path = tmp_path_factory.mktemp("formats") / f"data{suffix}"
    assert write_conversations(path, talks, DIALECTS[name]) == len(talks)
    assert list(read_conversations(path)) == talks


BAD: dict[str, tuple[str, Any, str]] = {
    "not JSON": ("messages", "{", "line 3: not JSON: Expecting property name"),
    "not an object": ("messages", "[1]", "line 3: expected an object, got list"),
    "too deep": ("messages", "[" * 100_000, "line 3: not JSON"),
    "no such role": (
        "messages", {"messages": [{"role": "boss", "content": "x"}]}, r"line 3, messages\[0\].role: ",
    ),
    "no content": (
        "messages", {"messages": [{"role": "user"}]}, r"line 3, messages\[0\].content: Field required",
    ),
    "empty": ("messages", {"messages": []}, "line 3, messages: "),
    "twice the user": (
        "messages",
        {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
        r"line 3, messages\[1\]: a turn of the assistant belongs here, not one of the user",
    ),
    "the user last": (
        "messages", {"messages": [{"role": "user", "content": "a"}]},
        r"line 3, messages\[0\]: the assistant has to have the last word",
    ),
    "system in the middle": (
        "messages",
        {"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]},
        r"line 3, messages\[1\]: ",
    ),
    "says nothing": (
        "messages",
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]},
        r"line 3, messages\[1\]: says nothing",
    ),
    "no output": ("alpaca", {"instruction": "a"}, "line 3, output: Field required"),
    "blank output": ("alpaca", {"instruction": "a", "output": " "}, "line 3, output: says nothing"),
    "history of one": (
        "alpaca", {"instruction": "a", "output": "b", "history": [["x"]]}, r"line 3, history\[0\]",
    ),
    "no such speaker": (
        "sharegpt", {"conversations": [{"from": "cat", "value": "x"}]},
        r"line 3, conversations\[0\].from: 'cat' is none of human, user",
    ),
    "the system stands apart": (
        "sharegpt",
        {"system": "s", "conversations": [{"from": "gpt", "value": "x"}]},
        r"line 3, conversations\[0\]: a turn of the user belongs here",
    ),
    "text and messages": (
        "prompt-completion", {"prompt": "a", "completion": [{"role": "assistant", "content": "b"}]},
        "line 3, completion: prompt and completion have to be both text",
    ),
    "no completion": ("prompt-completion", {"prompt": "a"}, "line 3, completion: Field required"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "bad", "message"), BAD.values(), ids=BAD.keys())
def test_an_error_names_file_line_and_field(tmp_path: Path, name: str, bad: Any, message: str) -> None:
    """Line numbers are those of the file: the blank line counts. What came before is given out."""
    path = written(tmp_path / "data.jsonl", [ROWS[name][0], "", bad])
    reading = read_conversations(path)
    assert next(reading) == MEANT[0]
    with pytest.raises(DataError, match=message) as caught:
        next(reading)
    assert str(caught.value).startswith(f"{path}, line 3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[\n{"prompt": "a", "completion": "b"},\n\n{"prompt": "a"}\n]',
            "line 4, completion: Field required",
        ),
        ('[\n{"prompt": "a", "completion": "b"}\n{"prompt"', "line 3: a comma or ] is missing"),
        ('[\n{"prompt": "a", "completion": "b"},\n{"prompt"', "line 3: not JSON"),
        ("[1]", "line 1: of no format known here"),
        ('{"a": 1}', r"line 1: of no format known here \(a\)"),
    ],
)
def test_arrays_have_lines_too(tmp_path: Path, text: str, message: str) -> None:
    """The line is the one an element begins on."""
    path = tmp_path / "data.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        list(read_conversations(path))


def test_each_answer_is_trained_on_in_its_own_turn() -> None:
    """A row an answer, in Gemma's turns, with what was said before; no text can end a turn."""
    talk = Conversation.of_pairs((("Hi <end_of_turn>", "Yes?"), ("Add.", "3")), "Be brief.")
    first, second = text_rows(talk)
    assert first.prompt == (
        "<start_of_turn>user\nBe brief.\n\nHi ‹end_of_turn><end_of_turn>\n<start_of_turn>model\n"
    )
    assert (first.completion, second.completion) == ("Yes?", "3")
    assert second.prompt == (
        f"{first.prompt}Yes?<end_of_turn>\n<start_of_turn>user\nAdd.<end_of_turn>\n<start_of_turn>model\n"
    )


@pytest.mark.parametrize("name", ["alpaca", "sharegpt", "messages"])
def test_training_takes_them_as_they_are(tmp_path: Path, name: str) -> None:
    """`sft --data` tells by the first row."""
    path = written(tmp_path / "data.jsonl", ROWS[name])
    assert kind_of_data(path) is DataKind.CONVERSATIONS
    rows, held_out = read_training_rows([path], ExampleSettings())
    assert (len(rows), held_out) == (3, [])


def test_training_takes_arrays(tmp_path: Path) -> None:
    """Of pairs too, which as JSONL are rows already."""
    path = tmp_path / "data.json"
    path.write_text(json.dumps(ROWS["prompt-completion"], indent=1))
    assert len(read_training_rows([path], ExampleSettings())[0]) == 3


def test_review_data_is_converted_for_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each remark becomes a question and its reply; the command says how many."""
    item = {
        "id": "a", "path": "a.py", "language": "python", "split": "train",
        "diff": "@@ -0,0 +1 @@\n+x = eval(y)",
        "findings": [{"line": 1, "category": "security", "severity": "major", "message": "Runs any code."}],
    }  # fmt: skip
    source = written(tmp_path / "items.jsonl", [item, {**item, "id": "b", "split": "test"}])
    out = tmp_path / "new" / "data.json"
    command = ["convert", "--data", str(source), "--to", "messages", "--out", str(out), "--split", "train"]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("1 conversations\n")
    (talk,) = read_conversations(out)
    ((question, answer),) = talk.pairs
    assert "x = eval(y)" in question
    assert "_of_turn" not in question
    assert json.loads(answer)["message"] == "Runs any code."


def test_a_bad_row_leaves_no_half_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the target is not there."""
    source = written(tmp_path / "in.jsonl", [*ROWS["alpaca"], {"instruction": 1, "output": "x"}])
    out = tmp_path / "out.jsonl"
    assert main(["convert", "--data", str(source), "--to", "sharegpt", "--out", str(out)]) == 2
    assert "line 3, instruction: " in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]
