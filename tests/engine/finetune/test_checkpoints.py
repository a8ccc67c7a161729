"""Only whole checkpoints of the same run are gone on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.finetune.checkpoints import SEAL, newest, seal


def checkpoint(directory: Path, step: int, run: str = "run") -> Path:
    path = directory / f"checkpoint-{step}"
    path.mkdir()
    (path / "adapter_model.safetensors").write_bytes(b"weights %d" % step)
    (path / "optimizer.pt").write_bytes(b"state")
    seal(path, run)
    return path


def test_newest_by_number(tmp_path: Path) -> None:
    """Steps are ordered as numbers; other names are passed over."""
    for step in (900, 1000, 20):
        checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-last").mkdir()
    assert newest(tmp_path, "run") == tmp_path / "checkpoint-1000"


def test_none(tmp_path: Path) -> None:
    """A directory without checkpoints, or none at all, has no newest."""
    assert newest(tmp_path, "run") is None
    assert newest(tmp_path / "absent", "run") is None


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "extra", "unsealed", "seal cut off"])
def test_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    """Whatever happened to the newest, the one before it is taken."""
    before, last = checkpoint(tmp_path, 10), checkpoint(tmp_path, 20)
    assert newest(tmp_path, "run") == last
    weights, mark = last / "adapter_model.safetensors", last / SEAL
    match damage:
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-1])
        case "changed":
            weights.write_bytes(b"weights 21")
        case "missing":
            (last / "optimizer.pt").unlink()
        case "extra":
            (last / "half.tmp").touch()
        case "unsealed":
            mark.unlink()
        case "seal cut off":
            mark.write_text(mark.read_text("utf-8")[:20], encoding="utf-8")
    assert newest(tmp_path, "run") == before


def test_checkpoint_of_another_run_is_passed_over(tmp_path: Path) -> None:
    """Other rows or settings are another run, and its weights are not ours."""
    ours = checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 20, run="other")
    assert newest(tmp_path, "run") == ours
