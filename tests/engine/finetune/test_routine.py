"""Whole runs on a tiny Gemma 3: they learn, save, stop, resume, and do the same again under one seed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DataError, EngineError
from engine.finetune.record import RUN, TrainingRun, read_run
from engine.finetune.routine import finetune, split_off
from engine.finetune.rows import Block, LabelRow, Row, TextRow
from engine.finetune.settings import Backend, FinetuneSettings

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

SCRIPT = Path(__file__).with_name("train_tiny.py")
SETTINGS = FinetuneSettings(
    backend=Backend.TRL,
    rank=4,
    dropout=0.1,
    learning_rate=0.02,
    warmup_steps=2,
    epochs=4,
    batch_tokens=128,
    eval_steps=10,
    log_steps=1,
    seed=7,
)

GOLDEN = [9.153, 4.649, 3.270, 1.261, 2.347, 0.822]


def changed(**updates: Any) -> FinetuneSettings:
    return FinetuneSettings.model_validate({**SETTINGS.model_dump(), **updates})


def train(base: Path, rows: Sequence[Row], out: Path, **options: Any) -> TrainingRun:
    settings = options.pop("settings", SETTINGS)
    return finetune(base, rows, options.pop("validation", rows[:8]), settings, out, **options)


def assert_same_weights(one: Path, other: Path, tolerance: float = 1e-5) -> None:
    from safetensors.torch import load_file

    ours, theirs = (load_file(path / "adapter_model.safetensors") for path in (one, other))
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], atol=tolerance, rtol=0)


def last_checkpoint(run: TrainingRun) -> Path:
    """Its weights are float32, not rounded as the adapter's are."""
    return run.adapter.parent / "checkpoints" / f"checkpoint-{run.steps}"


def losses(run: TrainingRun) -> list[float]:
    return [loss for _, loss, _ in run.history if loss is not None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, tiny_rows: list[Row]) -> TrainingRun:
    """Return a run that nothing interrupted."""
    return train(tiny_base, tiny_rows, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, tiny_rows: list[Row]) -> Path:
    """Return the directory of the same run, killed in the step after its second checkpoint."""
    directory = tmp_path_factory.mktemp("killed")
    rows, out = directory / "rows.jsonl", directory / "out"
    rows.write_text("".join(f"{row.model_dump_json()}\n" for row in tiny_rows), encoding="utf-8")
    arguments = [str(tiny_base), str(rows), str(out), SETTINGS.model_dump_json(), "20"]
    process = subprocess.Popen([sys.executable, str(SCRIPT), *arguments], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not (out / "checkpoints" / "checkpoint-20" / "seal.json").exists():
            assert process.poll() is None, "the training ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (out / RUN).exists()
    return out


def test_losses_fall(whole: TrainingRun) -> None:
    """The model learns what there is to learn, in training and in validation."""
    assert sum(losses(whole)[-5:]) < 0.5 * sum(losses(whole)[:5])
    validation = [loss for _, _, loss in whole.history if loss is not None]
    assert validation == sorted(validation, reverse=True)


def test_golden_losses(whole: TrainingRun) -> None:
    """Under a fixed seed the losses are these; another number is another routine."""
    assert losses(whole)[::6] == pytest.approx(GOLDEN, rel=0.02)


def test_same_seed_same_weights(
    whole: TrainingRun, tmp_path: Path, tiny_base: Path, tiny_rows: list[Row]
) -> None:
    """A run can be had again."""
    again = train(tiny_base, tiny_rows, tmp_path)
    assert again.history == whole.history
    assert_same_weights(again.adapter, whole.adapter, tolerance=0)


def test_record_is_complete(whole: TrainingRun, tiny_rows: list[Row]) -> None:
    """What was given and what was done stand in run.json, and the curve beside it."""
    out = whole.adapter.parent
    assert read_run(out) == whole
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert (whole.rows, whole.validation_rows, whole.dropped_too_long) == (len(tiny_rows), 8, 0)
    assert whole.settings == SETTINGS
    assert whole.steps == whole.history[-1][0]
    assert whole.history[-1][2] is not None
    assert whole.tokens_per_second == pytest.approx(whole.tokens / whole.seconds, rel=0.01)
    assert (whole.dtype, whole.base, whole.base_sha256) == ("float32", "tiny", None)


def test_adapter_is_two_files(whole: TrainingRun, tiny_base: Path) -> None:
    """Weights in bfloat16 and a configuration that knows no directory of this machine."""
    from safetensors.torch import load_file

    assert sorted(path.name for path in whole.adapter.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    tensors = load_file(whole.adapter / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert len(tensors) == 2 * 2 * 7
    config = json.loads((whole.adapter / "adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] is None
    assert config["target_modules"] == sorted(config["target_modules"])
    assert str(tiny_base.parent) not in json.dumps(config)


def test_plain_peft_loads_the_adapter(whole: TrainingRun, tiny_base: Path, tiny_rows: list[Row]) -> None:
    """Reloaded by PEFT alone, the model says what it said when it was validated last."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from engine.finetune.encoding import encode_rows
    from engine.finetune.loss import label_loss
    from engine.finetune.trainer import collate

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    encoded = encode_rows(
        tiny_rows[:8], lambda texts: tokenizer(list(texts), add_special_tokens=False)["input_ids"], 2, 5, 999
    )
    batch = collate(encoded.rows)

    def validate(model: Any) -> float:
        with torch.no_grad():
            states = model(input_ids=batch["input_ids"], output_hidden_states=True).hidden_states[-1]
            head = base.get_output_embeddings().weight
            return float(label_loss(states, batch["labels"], batch["weight"], head))

    before = validate(base)
    after = validate(PeftModel.from_pretrained(base, str(whole.adapter)).eval())
    assert after == pytest.approx(whole.history[-1][2], rel=0.02)
    assert after < before / 2


@pytest.mark.parametrize("newest_is_damaged", [False, True])
def test_killed_run_resumes(
    whole: TrainingRun,
    killed: Path,
    tmp_path: Path,
    tiny_base: Path,
    tiny_rows: list[Row],
    newest_is_damaged: bool,
) -> None:
    """Gone on from the newest intact checkpoint, in mid-epoch, it ends where the whole run ended."""
    out = tmp_path / "out"
    shutil.copytree(killed, out)
    if newest_is_damaged:
        optimizer = out / "checkpoints" / "checkpoint-20" / "optimizer.pt"
        optimizer.write_bytes(optimizer.read_bytes()[:-100])
    steps: list[int] = []
    run = train(tiny_base, tiny_rows, out, resume=True, on_log=lambda step, values: steps.append(step))
    assert steps[0] == (11 if newest_is_damaged else 21)
    assert_same_weights(last_checkpoint(run), last_checkpoint(whole))
    assert (run.steps, run.tokens, run.data_fingerprint) == (
        whole.steps,
        whole.tokens,
        whole.data_fingerprint,
    )
    assert [step for step, *_ in run.history] == [step for step, *_ in whole.history]
    assert losses(run) == pytest.approx(losses(whole), rel=1e-5)


def test_finished_run_is_not_run_again(
    whole: TrainingRun, tmp_path: Path, tiny_base: Path, tiny_rows: list[Row]
) -> None:
    """Resuming what is finished trains nothing; with other rows it starts from the beginning."""
    out = tmp_path / "out"
    shutil.copytree(whole.adapter.parent, out)
    steps: list[int] = []
    done = train(tiny_base, tiny_rows, out, resume=True, on_log=lambda step, values: steps.append(step))
    assert done == whole.model_copy(update={"adapter": out / "adapter"})
    assert not steps
    short = changed(max_steps=2)
    train(tiny_base, tiny_rows, out, settings=short, resume=True, on_log=lambda step, _: steps.append(step))
    assert steps[0] == 1


def test_run_without_resume_starts_anew(
    killed: Path, tmp_path: Path, tiny_base: Path, tiny_rows: list[Row]
) -> None:
    """Checkpoints of an earlier run do not outlive it: their higher numbers would push new ones out."""
    out = tmp_path / "out"
    shutil.copytree(killed, out)
    train(tiny_base, tiny_rows, out, settings=changed(max_steps=3))
    assert [path.name for path in (out / "checkpoints").glob("checkpoint-*")] == ["checkpoint-3"]


def test_best_step_is_saved(tmp_path: Path, tiny_base: Path, tiny_rows: list[Row]) -> None:
    """Where validation only gets worse, patience ends the run and the best checkpoint is the adapter."""
    wrong = [
        LabelRow(prompt=row.prompt, blocks=tuple(Block(text=b.text, label=" style") for b in row.blocks))
        for row in tiny_rows
        if isinstance(row, LabelRow)
    ]
    settings = changed(eval_steps=2, patience=2, warmup_steps=0)
    run = train(tiny_base, tiny_rows, tmp_path, settings=settings, validation=wrong)
    validation = {step: loss for step, _, loss in run.history if loss is not None}
    assert run.best_step == min(validation, key=validation.__getitem__)
    assert run.steps == run.best_step + 4
    from safetensors.torch import load_file

    best = load_file(tmp_path / "checkpoints" / f"checkpoint-{run.best_step}" / "adapter_model.safetensors")
    for name, tensor in load_file(run.adapter / "adapter_model.safetensors").items():
        assert torch.equal(tensor, best[name].to(torch.bfloat16)), name


def test_two_half_batches_are_one(tmp_path: Path, tiny_base: Path) -> None:
    """Accumulated over two micro-batches, a step is the step of the batch that holds both."""
    rows = [TextRow(prompt=f"say {letter * 9}\n", completion=f"{letter * 5}!") for letter in "abcdefgh"]
    length = 1 + 14 + 7
    runs = [
        train(tiny_base, rows, tmp_path / str(parts), settings=changed(
            batch_tokens=8 * length // parts, accumulation=parts, epochs=5, dropout=0))
        for parts in (1, 2)
    ]  # fmt: skip
    assert runs[0].steps == runs[1].steps == 5
    assert losses(runs[0]) == pytest.approx(losses(runs[1]), rel=1e-4)
    assert_same_weights(last_checkpoint(runs[0]), last_checkpoint(runs[1]), tolerance=1e-3)


def test_epochs_are_of_the_rows(tmp_path: Path, tiny_base: Path, tiny_rows: list[Row]) -> None:
    """What is logged as epoch is how often the run has gone through its rows, however it is cut short."""
    epochs: dict[int, float] = {}
    for steps in (3, -1):
        settings = changed(max_steps=steps, epochs=2)
        train(
            tiny_base,
            tiny_rows,
            tmp_path,
            settings=settings,
            on_log=lambda step, values: epochs.update({step: values["epoch"]}),
        )
        assert max(epochs.values()) == pytest.approx(2 if steps < 0 else 3 / 8, abs=0.15)


def test_time_limit_ends_the_run(tmp_path: Path, tiny_base: Path, tiny_rows: list[Row]) -> None:
    """After max_seconds the run ends with its step validated and its adapter saved."""
    run = train(tiny_base, tiny_rows, tmp_path, settings=changed(max_seconds=1e-3))
    assert run.steps == 1
    assert run.history[-1][2] is not None
    assert (run.adapter / "adapter_model.safetensors").is_file()


def test_loss_that_is_no_number_stops_the_run(tmp_path: Path, tiny_base: Path, tiny_rows: list[Row]) -> None:
    """A run that diverged says at which step and what to do; it saves nothing."""
    with pytest.raises(EngineError, match=r"step \d+: loss is nan; lower learning_rate"):
        train(tiny_base, [tiny_rows[0].model_copy(update={"weight": 3e38})] * 50, tmp_path)
    assert not (tmp_path / "adapter").exists()


def test_memory_that_runs_out_is_said(
    tmp_path: Path, tiny_base: Path, tiny_rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do about it; other failures of PyTorch stay what they are."""
    torch = pytest.importorskip("torch")
    failure = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def fail(*_: Any) -> Any:
        raise failure

    monkeypatch.setattr("engine.finetune.trainer.label_loss", fail)
    with pytest.raises(EngineError, match=r"ran out: lower batch_tokens, .*load_in_4bit\. CUDA .* 2\.00 GiB"):
        train(tiny_base, tiny_rows, tmp_path)
    assert not (tmp_path / "adapter").exists()
    failure = RuntimeError("of another kind")
    with pytest.raises(RuntimeError, match="of another kind"):
        train(tiny_base, tiny_rows, tmp_path)


def test_no_row_that_fits_is_refused(tmp_path: Path, tiny_base: Path) -> None:
    """The error counts the rows and names the limit."""
    rows = [TextRow(prompt="x" * 50, completion="y")] * 3
    with pytest.raises(DataError, match="no row to train on: 3 of 3 are over 16 tokens"):
        train(tiny_base, rows, tmp_path, settings=changed(max_length=16))


def test_validation_share_keeps_prompts_apart() -> None:
    """Rows with one prompt land on one side, under the seed."""
    rows: list[Row] = [TextRow(prompt=f"p{n // 3}", completion=str(n)) for n in range(60)]
    kept, held = split_off(rows, 0.2, seed=1)
    assert len(held) == 12
    assert not {row.prompt for row in kept} & {row.prompt for row in held}
    assert sorted([*kept, *held], key=rows.index) == rows
    assert (kept, held) == split_off(rows, 0.2, seed=1)
    assert held != split_off(rows, 0.2, seed=2)[1]
