"""Preference tuning on a tiny Gemma 3: what was accepted wins over what was rejected, line scores stay."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.errors import AdapterError, DataError, EngineError
from engine.finetune.judged import JudgedRow
from engine.finetune.preference import Judged, prefer
from engine.finetune.record import RUN, TrainingRun
from engine.finetune.routine import finetune
from engine.finetune.rows import LabelRow, Row, TextRow
from engine.finetune.settings import Backend, FinetuneSettings, PreferenceSettings
from engine.runners.torch_reference import PAD_MULTIPLE

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

SFT = FinetuneSettings(
    backend=Backend.TRL, rank=4, learning_rate=0.02, warmup_steps=2, epochs=4, batch_tokens=128, seed=7
)
SETTINGS = PreferenceSettings(
    learning_rate=5e-3,
    epochs=3,
    batch_rows=4,
    replay_tokens=128,
    min_each=4,
    save_steps=5,
    log_steps=1,
    seed=7,
)


def judged() -> list[JudgedRow]:
    """Return two replies to each prompt: one wanted, one not. The adapter learned neither."""
    said = [("wanted.", True), ("refused", False)]
    return [
        JudgedRow(TextRow(prompt=f"say {letter * 2}\n", completion=text), accepted)
        for letter in "abcdefgh"
        for text, accepted in said
    ]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, tiny_rows: list[Row]) -> Path:
    """Return an adapter that was trained on rows of both kinds."""
    return finetune(tiny_base, tiny_rows, [], SFT, tmp_path_factory.mktemp("sft")).adapter


@pytest.fixture(scope="module")
def data(tiny_rows: list[Row]) -> Judged:
    return Judged(judged(), [row for row in tiny_rows if isinstance(row, LabelRow)])


@pytest.fixture(scope="module")
def tuned(
    tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, adapter: Path, data: Judged
) -> TrainingRun:
    return prefer(tiny_base, adapter, data, Judged([]), SETTINGS, tmp_path_factory.mktemp("tuned"))


def test_what_is_read_at_once_is_of_even_lengths(
    tiny_base: Path, adapter: Path, data: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's attention is wrong for some of the others; see PAD_MULTIPLE of the reference runner."""
    from transformers import Gemma3TextModel

    lengths: list[int] = []
    real = Gemma3TextModel.forward

    def forward(self: Any, *arguments: Any, **options: Any) -> Any:
        lengths.append(options["input_ids"].shape[1])
        return real(self, *arguments, **options)

    monkeypatch.setattr(Gemma3TextModel, "forward", forward)
    longer = [
        JudgedRow(TextRow(prompt="so " + each.row.prompt, completion=each.row.completion), each.accepted)
        for each in judged()
    ]
    prefer(tiny_base, adapter, Judged(longer, data.scores), Judged([]), changed(max_steps=2), tmp_path)
    assert len(lengths) > 10
    assert not [length for length in lengths if length % PAD_MULTIPLE]


def margin(run: TrainingRun, when: str) -> float:
    """Return how much likelier a token of an accepted text is, in nats."""
    assert run.preference is not None
    found = getattr(run.preference, when)
    return float(found.rejected - found.accepted)


def test_accepted_texts_gain_on_rejected_ones(tuned: TrainingRun) -> None:
    """They become more probable, rejected ones less, measured with the same rows before and after."""
    assert tuned.preference is not None
    before, after = tuned.preference.before, tuned.preference.after
    assert after.accepted < before.accepted
    assert after.rejected > before.rejected
    assert margin(tuned, "after") > margin(tuned, "before") + 0.5
    assert (tuned.preference.accepted, tuned.preference.rejected) == (8, 8)


def test_line_scores_are_kept(
    tuned: TrainingRun, tmp_path: Path, tiny_base: Path, adapter: Path, data: Judged
) -> None:
    """With line scores trained along they stay at least as good; without, tuning forgets some of them."""
    assert tuned.preference is not None
    before, after = tuned.preference.before.scores, tuned.preference.after.scores
    assert before is not None
    assert after is not None
    assert after <= before + 0.02
    alone = prefer(tiny_base, adapter, data, Judged([]), changed(replay_weight=0), tmp_path)
    assert alone.preference is not None
    assert alone.preference.after.scores is not None
    assert alone.preference.after.scores > after


def test_the_result_is_an_adapter_like_any_other(tuned: TrainingRun, adapter: Path, tiny_base: Path) -> None:
    """The same two files, of the same form, that PEFT loads; the reference is in none of them."""
    from safetensors.torch import load_file

    assert sorted(path.name for path in tuned.adapter.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    old, new = (load_file(path / "adapter_model.safetensors") for path in (adapter, tuned.adapter))
    assert {name: tensor.shape for name, tensor in new.items()} == {n: t.shape for n, t in old.items()}
    assert any(not torch.equal(new[name], old[name]) for name in new)
    assert tuned.settings == SFT
    checkpoint = tuned.adapter.parent / "checkpoints" / f"checkpoint-{tuned.steps}"
    assert not [path for path in checkpoint.iterdir() if path.is_dir()]


def test_held_out_texts_are_what_is_measured(
    tmp_path: Path, tiny_base: Path, adapter: Path, data: Judged
) -> None:
    """Where there are some of both kinds; the record says so."""
    texts = judged()
    run = prefer(tiny_base, adapter, Judged(texts[:12]), Judged(texts[12:]), changed(max_steps=1), tmp_path)
    assert run.preference is not None
    assert run.preference.held_out
    assert run.validation_rows == 4
    assert run.steps == 1


def test_interrupted_tuning_goes_on(
    tuned: TrainingRun, tmp_path: Path, tiny_base: Path, adapter: Path, data: Judged
) -> None:
    """From the newest intact checkpoint it ends as the whole run did; a finished one is not run again."""
    from safetensors.torch import load_file

    out = tmp_path / "out"
    shutil.copytree(tuned.adapter.parent, out)
    steps: list[int] = []

    def again() -> TrainingRun:
        return prefer(
            tiny_base, adapter, data, Judged([]), SETTINGS, out, resume=True,
            on_log=lambda step, values: steps.append(step),
        )  # fmt: skip

    assert again().preference == tuned.preference
    assert not steps
    (out / RUN).unlink()
    shutil.rmtree(out / "adapter")
    shutil.rmtree(out / "checkpoints" / f"checkpoint-{tuned.steps}")
    resumed = again()
    assert steps[0] == 11
    old, new = (
        load_file(path.parent / "checkpoints" / f"checkpoint-{tuned.steps}" / "adapter_model.safetensors")
        for path in (tuned.adapter, resumed.adapter)
    )
    for name, tensor in old.items():
        torch.testing.assert_close(new[name], tensor, atol=1e-4, rtol=0)


def test_too_little_of_either_side_is_refused(tmp_path: Path, tiny_base: Path, adapter: Path) -> None:
    """The error counts both sides and names the setting."""
    texts = [one for one in judged() if one.accepted]
    with pytest.raises(DataError, match=r"8 accepted and 0 rejected texts fit; .* needs 4 of each"):
        prefer(tiny_base, adapter, Judged(texts), Judged([]), SETTINGS, tmp_path)


def test_memory_that_runs_out_is_said(
    tmp_path: Path, tiny_base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While measuring, too."""

    def fail(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    torch = pytest.importorskip("torch")
    monkeypatch.setattr("engine.finetune.preference.collate", fail)
    with pytest.raises(EngineError, match="ran out: lower batch_rows and replay_tokens"):
        prefer(tiny_base, adapter, Judged(judged()), Judged([]), SETTINGS, tmp_path)


def test_directory_without_adapter_is_refused(tmp_path: Path, tiny_base: Path) -> None:
    """The error names what is missing."""
    with pytest.raises(AdapterError, match=r"is no adapter directory: adapter_config\.json is missing"):
        prefer(tiny_base, tmp_path, Judged(judged()), Judged([]), SETTINGS, tmp_path / "out")


def changed(**updates: Any) -> PreferenceSettings:
    return PreferenceSettings.model_validate({**SETTINGS.model_dump(), **updates})
