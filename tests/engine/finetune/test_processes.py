"""Several processes train one adapter: each has its share, and together they do what one would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.finetune.backend import choose_backend
from engine.finetune.processes import ALONE, Processes, leave_the_others, processes
from engine.finetune.record import read_run
from engine.finetune.routine import finetune
from engine.finetune.rows import Row
from engine.finetune.settings import Backend, FinetuneSettings

ROOT = Path(__file__).parents[3]
SETTINGS = FinetuneSettings(
    backend=Backend.TRL, rank=4, learning_rate=0.01, warmup_steps=2, epochs=1, max_steps=3, batch_tokens=128,
    eval_steps=2, log_steps=1, seed=7,
)  # fmt: skip


@pytest.mark.parametrize(("values", "count"), [(6, 2), (7, 2), (1, 3), (0, 2), (5, 1)])
def test_shares_are_equal_and_leave_nothing_out(values: int, count: int) -> None:
    """All processes have as many; dealt again is less than a round."""
    shares = [Processes(rank, count).share(range(values)) for rank in range(count)]
    assert len({len(share) for share in shares}) == 1
    dealt = [value for share in shares for value in share]
    assert set(dealt) == set(range(values))
    assert len(dealt) - values < count


def test_rounds_are_neighbours() -> None:
    """What all take in one step follows one another in the plan: the step is that of one process alone."""
    shares = [Processes(rank, 2).share("abcdef") for rank in (0, 1)]
    assert list(zip(*shares, strict=True)) == [("a", "b"), ("c", "d"), ("e", "f")]


def test_launchers_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without their variables a process is alone."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert processes() == ALONE
    assert ALONE.is_first
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert processes() == Processes(3, 4, 1)
    assert not processes().is_first


def test_processes_leave_one_another(tmp_path: Path) -> None:
    """What joined them is ended; alone there is nothing to end."""
    distributed = pytest.importorskip("torch.distributed")
    leave_the_others()
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    leave_the_others()
    assert not distributed.is_initialized()


def test_unsloth_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """AUTO takes TRL for several; who asks for Unsloth is told."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert choose_backend(Backend.AUTO) is Backend.TRL
    with pytest.raises(EngineError, match="unsloth trains in one process; set backend to trl"):
        choose_backend(Backend.UNSLOTH)


@pytest.mark.train
def test_two_processes_do_what_one_does(tmp_path: Path, tiny_base: Path, tiny_rows: list[Row]) -> None:
    """Launched as the README says, on gloo for lack of GPUs: the steps of one that takes two batches."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    data, validation = tmp_path / "rows.jsonl", tmp_path / "dev.jsonl"
    for path, rows in ((data, tiny_rows), (validation, tiny_rows[:8])):
        path.write_text("".join(f"{row.model_dump_json()}\n" for row in rows), encoding="utf-8")
    settings, out = tmp_path / "settings.toml", tmp_path / "two"
    values = {**SETTINGS.model_dump(exclude_unset=True), "backend": "trl"}
    settings.write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()), encoding="utf-8")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_port", "0", "-m", "training", "sft", "--yes", "--data", str(data)]
    launch += ["--validation", str(validation), "--settings", str(settings), "--base-dir", str(tiny_base)]
    done = subprocess.run(
        [*launch, "--out", str(out)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("3 steps") == 1
    assert "destroy_process_group" not in done.stderr

    one = finetune(
        tiny_base, tiny_rows, tiny_rows[:8], SETTINGS.model_copy(update={"accumulation": 2}), tmp_path / "one"
    )
    two = read_run(out)
    assert two is not None
    assert (two.steps, two.tokens) == (one.steps, one.tokens)
    for column in (1, 2):
        ours, theirs = ([point[column] for point in run.history if point[column]] for run in (one, two))
        assert theirs == pytest.approx(ours, rel=1e-3)
    expected = load_file(one.adapter / "adapter_model.safetensors")
    for name, tensor in load_file(two.adapter / "adapter_model.safetensors").items():
        torch.testing.assert_close(tensor, expected[name], atol=2e-3, rtol=0)
    newest = out / "checkpoints" / "checkpoint-3"
    assert (newest / "seal.json").exists()
    assert {path.name for path in newest.glob("rng_state*")} == {"rng_state_0.pth", "rng_state_1.pth"}
