"""`tenken-train plan`, and what `sft` shows and asks before it trains."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from engine.errors import ModelError
from engine.finetune.callbacks import Step
from engine.finetune.cards import usual_card
from engine.finetune.rows import TextRow
from engine.finetune.settings import Backend, FinetuneSettings
from engine.wire import Language
from training.__main__ import main
from training.choices import Why
from training.cli import plans
from training.cli.live import watching
from training.plan import make_plan, measure

CONFIG = {
    "num_hidden_layers": 18,
    "hidden_size": 640,
    "intermediate_size": 2048,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "vocab_size": 262_144,
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return the configuration of a 270M, and a tokenizer whose tokens are words."""
    directory = tmp_path / "base"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": "a b c", "completion": "d " * (n % 50 + 1)} for n in range(3000)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def planned(base: Path, rows: int = 3000, **options: Any) -> Any:
    made = [TextRow(prompt="a b c", completion="d " * (n % 50 + 1)) for n in range(rows)]
    return make_plan(base, made, [], usual_card(24), **options)


def test_tokens_are_counted_from_drawn_rows(base: Path) -> None:
    """As the trainer counts them, with the token that begins a text and the one that ends it."""
    few = measure(
        base, [TextRow(prompt="a b", completion="c"), TextRow(prompt="a", completion="c d e f")], []
    )
    assert (few.rows, few.tokens, few.lengths) == (2, 12, (5, 7))
    many = measure(base, [TextRow(prompt="a", completion="d " * (n % 50 + 1)) for n in range(10_000)], [])
    assert many.tokens == pytest.approx(10_000 * (3 + 25.5), rel=0.03)
    assert len(many.lengths) == 2000


def test_settings_are_chosen_unless_they_were_given(base: Path) -> None:
    """A file's keys stand; without a preset the rest keeps its usual value."""
    given = FinetuneSettings(rank=4, backend=Backend.TRL)
    preset = planned(base, given=given)
    assert preset.settings.rank == 4
    assert {one.key for one in preset.choices if one.why is Why.GIVEN} == {"rank", "backend"}
    assert preset.settings.max_length != FinetuneSettings().max_length
    plain = planned(base, given=given, preset=False)
    assert plain.settings == given
    assert len(plain.choices) == 2


def test_plan_for_another_program(base: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON: settings, reasons, and what they take."""
    arguments = ["plan", "--data", str(data), "--base-dir", str(base), "--card", "24", "--json"]
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["fits"], told["card"]["name"]) == (3000, True, "24 GB")
    assert FinetuneSettings.model_validate(told["settings"]).rank == 8
    assert told["why"]["rank"] == "rank_few"
    assert told["forecast"]["memory"]["total"] > told["forecast"]["memory"]["weights"] > 0
    assert told["forecast"]["steps"] > 0


@pytest.mark.parametrize(("language", "said"), [("en", "2 processes"), ("ja", "2 プロセス")])
def test_plan_for_several_processes(
    base: Path, data: Path, language: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how large a step is in all, and in each; the same as that of one process."""
    arguments = ["plan", "--data", str(data), "--base-dir", str(base), "--card", "24"]
    told = []
    for processes in ("1", "2"):
        assert main([*arguments, "--processes", processes, "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert [each["processes"] for each in told] == [1, 2]
    assert told[0]["step_tokens"] == told[1]["step_tokens"] == 2 * told[1]["settings"]["batch_tokens"]
    assert told[0]["forecast"]["steps"] == told[1]["forecast"]["steps"]
    assert main([*arguments, "--processes", "2", "--lang", language]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert said in shown
    assert f"{told[1]['step_tokens']:,}" in shown


def test_given_settings_are_those_of_each_process(base: Path) -> None:
    """What somebody chose is not divided; the plan says what it comes to."""
    given = FinetuneSettings(batch_tokens=4096, accumulation=2)
    plans = [planned(base, given=given, preset=False, processes=count) for count in (1, 2)]
    assert [plan.settings for plan in plans] == [given, given]
    assert [plan.step_tokens for plan in plans] == [8192, 16_384]
    assert plans[1].forecast.steps == pytest.approx(plans[0].forecast.steps / 2, abs=1)


@pytest.mark.parametrize("language", list(Language))
def test_plan_for_people(
    base: Path, data: Path, capsys: pytest.CaptureFixture[str], language: Language
) -> None:
    """A table with a reason for each setting, then time and memory; nothing is trained."""
    arguments = ["plan", "--data", str(data), "--base-dir", str(base), "--card", "12", "--lang", language]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    for word in ("base", "12 GB", "3,000", "learning_rate", "0.0005", "max_length", "GiB"):
        assert word in shown
    assert "{" not in shown


@pytest.mark.parametrize(("backend", "seconds"), [("trl", 0), ("unsloth", 210)])
def test_a_slow_start_is_announced(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str, seconds: int
) -> None:
    """Whoever waits for a compiling start knows that nothing is wrong; it is part of the time."""
    settings = tmp_path / "settings.toml"
    settings.write_text(f'backend = "{backend}"\n', encoding="utf-8")
    arguments = ["plan", "--data", str(data), "--base-dir", str(base), "--card", "24"]
    arguments += ["--settings", str(settings)]
    assert main(arguments) == 0
    assert ("compiling layers" in " ".join(capsys.readouterr().out.split())) is bool(seconds)
    assert main([*arguments, "--json"]) == 0
    forecast = json.loads(capsys.readouterr().out)["forecast"]
    assert forecast["compiling"] == seconds
    assert forecast["seconds"] > seconds


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--base-dir", "nowhere"], "nowhere is no model directory"),
        (["--card", "13"], "invalid choice"),
        (["--weight", "1", "--weight", "2"], "--weight is given 2 times"),
    ],
)
def test_plans_that_cannot_be_made(
    data: Path, base: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what is wrong; the exit code is that of the error."""
    try:
        code = main(["plan", "--data", str(data), "--base-dir", str(base), *arguments])
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code in (2, 3)
    assert said in capsys.readouterr().err


def test_tokenizer_that_cannot_be_read(base: Path) -> None:
    """The error names the file."""
    (base / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        planned(base)


class Terminal(io.StringIO):
    """Something that somebody sits at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "goes_on"), [("\n", True), ("y\n", True), ("n\n", False), ("", False)])
def test_people_are_asked(monkeypatch: pytest.MonkeyPatch, answer: str, goes_on: bool) -> None:
    """On a terminal; return means yes, the end of the input no."""
    asked = Terminal()
    monkeypatch.setattr(plans.sys, "stdin", Terminal(answer))
    monkeypatch.setattr(plans.sys, "stderr", asked)
    assert plans.agreed() is goes_on
    assert asked.getvalue() == "Train? [Y/n] "


def test_programs_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody sits the answer is yes."""
    monkeypatch.setattr(plans.sys, "stdin", io.StringIO(""))
    assert plans.agreed()


def test_no_means_no(
    base: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is trained or written, and the exit code is that of an interruption."""
    monkeypatch.setattr(plans, "agreed", lambda language: False)
    out = tmp_path / "out"
    arguments = ["sft", "--data", str(data), "--base-dir", str(base), "--out", str(out), "--card", "24"]
    assert main(arguments) == 130
    told = capsys.readouterr().err
    assert "learning_rate" in told
    assert "nothing was trained" in told
    assert not out.exists()


def test_progress_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal each log is a line: losses, speed, time left."""
    with watching() as watch:
        watch.on_step(Step(done=10, steps=50, tokens_per_second=1234.5, seconds_left=80))
        watch.on_log(10, {"loss": 2.5, "grad_norm": 1.0})
        watch.on_log(10, {"grad_norm": 1.0})
    assert capsys.readouterr().out == "step 10: loss 2.5, 1234 tokens/s, 80 s left\n"


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A bar with steps, losses, speed and time left."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "140"}.items():
        monkeypatch.setenv(name, value)
    with watching() as watch:
        watch.on_log(10, {"loss": 2.5, "eval_loss": 3.25})
        watch.on_step(Step(done=10, steps=50, tokens_per_second=1234.5, seconds_left=80))
    shown = capsys.readouterr().err
    for word in ("10/50", "loss 2.5", "eval_loss 3.25", "00:01:20 left"):
        assert word in shown


def test_other_processes_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Of several only the first says how far they are."""
    with watching(quiet=True) as watch:
        watch.on_step(Step(1, 2, 3.0, 4.0))
        watch.on_log(1, {"loss": 2.5})
    assert capsys.readouterr() == ("", "")
