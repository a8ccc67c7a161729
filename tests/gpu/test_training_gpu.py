"""Training on a CUDA device: tuning on preferences, and whether memory is what was said before."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import MissingExtra, ModelError
from engine.finetune.base import hf_base
from engine.finetune.cards import card_here
from engine.finetune.estimates import GIB, Way, memory_of
from engine.finetune.judged import JudgedRow
from engine.finetune.preference import Judged, prefer
from engine.finetune.routine import finetune
from engine.finetune.rows import LabelRow, TextRow
from engine.finetune.settings import Backend, FinetuneSettings, PreferenceSettings
from engine.finetune.sizes import read_size
from engine.models import base_model
from engine.settings import load_settings
from tests.engine.finetune.tiny_gemma import make_tiny_gemma, make_tiny_rows

torch = pytest.importorskip("torch")

SFT = FinetuneSettings(
    backend=Backend.TRL, rank=4, learning_rate=0.02, warmup_steps=2, epochs=4, batch_tokens=128, seed=7
)
SETTINGS = PreferenceSettings(
    learning_rate=5e-3, epochs=3, batch_rows=4, replay_tokens=128, min_each=4, log_steps=1, seed=7
)


def test_preferences_are_tuned_on_the_device(cuda: str, tmp_path: Path) -> None:
    """In bfloat16, from an adapter trained there: accepted texts gain on rejected ones, line scores stay."""
    tiny_base, tiny_rows = make_tiny_gemma(tmp_path / "base"), make_tiny_rows()
    adapter = finetune(tiny_base, tiny_rows, tiny_rows[:8], SFT, tmp_path / "sft").adapter
    texts = [
        JudgedRow(TextRow(prompt=f"say {letter * 2}\n", completion=text), text == "wanted.")
        for letter in "abcdefgh"
        for text in ("wanted.", "refused")
    ]
    scores = [row for row in tiny_rows if isinstance(row, LabelRow)]
    run = prefer(tiny_base, adapter, Judged(texts, scores), Judged([]), SETTINGS, tmp_path / "tuned")
    assert run.preference is not None
    before, after = run.preference.before, run.preference.after
    assert after.rejected - after.accepted > before.rejected - before.accepted + 0.3
    assert (after.scores or 9) < (before.scores or 0) + 0.1
    assert run.dtype == "bfloat16"
    assert run.device == torch.cuda.get_device_name()


@pytest.mark.parametrize("recompute", [False, True])
def test_memory_is_what_was_estimated(cuda: str, tmp_path: Path, recompute: bool) -> None:
    """The real 270M with 8,192 tokens a step takes no more than was said, and not less than half of it."""
    settings = load_settings()
    try:
        base = hf_base(base_model(settings.cache_dir, settings.model_path), settings.cache_dir)
    except (MissingExtra, ModelError) as error:
        pytest.skip(str(error))
    rows = [TextRow(prompt=f"{number} " + "word " * 200, completion="word " * 50) for number in range(300)]
    chosen = FinetuneSettings(
        backend=Backend.TRL, rank=16, batch_tokens=8192, max_steps=3, gradient_checkpointing=recompute
    )
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    finetune(base, rows, [], chosen, tmp_path)
    taken = torch.cuda.max_memory_allocated() / GIB
    expected = memory_of(read_size(base), Way(16, 8192, recompute=recompute)).total
    assert 0.4 * expected < taken < 1.1 * expected


def test_card_is_the_one_that_trains(cuda: str) -> None:
    """The driver's answer is PyTorch's."""
    card = card_here()
    assert card.name == torch.cuda.get_device_name()
    assert card.memory_gib == pytest.approx(torch.cuda.get_device_properties(0).total_memory / GIB, rel=0.03)
