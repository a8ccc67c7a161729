"""A trained adapter -> the two files that PEFT and our runners read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.adapters import CONFIG, WEIGHTS


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
    save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    config = _portable(model.peft_config["default"].to_dict())
    (out / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return out


def _portable(config: dict[str, Any]) -> dict[str, Any]:
    """Sort what has no order, and leave the base's path out: the manifest names the base."""
    known = {
        name: sorted(value) if isinstance(value, set) else value
        for name, value in config.items()
        if value is not None
    }
    return known | {"base_model_name_or_path": None, "inference_mode": True}
