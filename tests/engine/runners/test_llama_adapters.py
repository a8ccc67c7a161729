"""An adapter does in llama.cpp what it does in PEFT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("peft")

from engine.finetune.base import hf_base  # noqa: E402 - after the skips
from engine.models import BaseModel  # noqa: E402
from engine.prompts import LABELS  # noqa: E402
from engine.runners import Cancellation, Runner, ScoreRequest  # noqa: E402
from engine.runners.llama import LlamaOptions, LlamaRunner  # noqa: E402
from engine.runners.torch_reference import ReferenceRunner  # noqa: E402

pytestmark = [pytest.mark.model, pytest.mark.train]

ROWS = [f"def f{n}(a, b={n}):\n    return open(a + str(b)).read({n})[{n % 3}:]" for n in range(20)]
REQUEST = ScoreRequest(
    "<start_of_turn>user\nReview this change.<end_of_turn>\n<start_of_turn>model\n",
    tuple(f"\n{number} {row} =>" for number, row in enumerate(ROWS, 1)),
)


def _logs(runner: Runner) -> Any:
    [(_, scores)] = runner.score([REQUEST], LABELS, Cancellation(), lambda count: None)
    runner.close()
    return np.log(scores.probabilities)


def test_converted_adapter_equals_peft(
    gemma: BaseModel, random_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp with the converted adapter agrees with PEFT within int8 noise; the base alone does not."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    directory = hf_base(gemma)
    peft = _logs(ReferenceRunner.load(directory, random_adapter, device="cpu", dtype="float32"))
    base = _logs(ReferenceRunner.load(directory, device="cpu", dtype="float32"))
    ours = _logs(LlamaRunner(gemma, LlamaOptions(score_adapter=random_adapter, cache=tmp_path, context=1024)))
    assert np.abs(ours - peft).mean() < 0.25
    assert np.abs(ours - base).mean() > 4 * np.abs(ours - peft).mean()
    assert (ours.argmax(axis=1) == peft.argmax(axis=1)).mean() >= 0.8
