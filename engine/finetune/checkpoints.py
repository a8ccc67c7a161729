"""Saving and resuming: checkpoints while training, the adapter at its end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def newest(directory: Path) -> str | None:
    """Return the path of the newest checkpoint that was written whole, or None.

    The trainer writes `trainer_state.json` last; a checkpoint without it, or with a broken one, was interrupted.
    """
    found = sorted(directory.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1]))
    intact = [path for path in found if _is_intact(path)]
    return str(intact[-1]) if intact else None


def _is_intact(path: Path) -> bool:
    try:
        json.loads((path / "trainer_state.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return (path / "adapter_model.safetensors").is_file()


def callbacks(
    record: Callable[[int, dict[str, float]], None], patience: int = 0, max_seconds: float = 0
) -> list[Any]:
    """Return the trainer's callbacks: records the logs, stops at `max_seconds` and after `patience` if not 0."""
    from transformers import EarlyStoppingCallback, TrainerCallback

    started = time.monotonic()

    class Recorder(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            record(
                int(state.global_step),
                {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)},
            )

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if max_seconds and time.monotonic() - started > max_seconds:
                control.should_training_stop = True

    stopping = [EarlyStoppingCallback(early_stopping_patience=patience)] if patience else []
    return [Recorder(), *stopping]


def save_adapter(model: Any, out: Path) -> Path:
    """Write adapter_config.json and adapter_model.safetensors, weights in bfloat16, and nothing else."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().to("cpu", torch.bfloat16).contiguous()
        for name, tensor in get_peft_model_state_dict(model).items()
    }
    save_file(weights, out / "adapter_model.safetensors", metadata={"format": "pt"})
    config = model.peft_config["default"].to_dict()
    # The base is named by the manifest; a path of the training machine has no meaning elsewhere.
    config |= {"base_model_name_or_path": None, "inference_mode": True}
    config["target_modules"] = sorted(config["target_modules"])
    text = json.dumps(
        {k: v for k, v in config.items() if v is not None}, indent=1, sort_keys=True, default=str
    )
    (out / "adapter_config.json").write_text(text + "\n", "utf-8")
    return out
