"""Adapters that are whole and of the right kind, yet of a few hundred bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from engine.adapters import CARD, CONFIG, WEIGHTS, Manifest, write_manifest
from engine.scores import Calibration
from engine.testing import lora_config

_LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


def tiny_weights(fill: int = 1) -> bytes:
    """Return a safetensors file with one pair of factors of rank 1."""
    shapes = {f"{_LAYER}.lora_A.weight": [1, 4], f"{_LAYER}.lora_B.weight": [4, 1]}
    table = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [16 * index, 16 * index + 16]}
        for index, (name, shape) in enumerate(shapes.items())
    }
    header = json.dumps(table).encode()
    return len(header).to_bytes(8, "little") + header + bytes([fill]) * 32


def write_tiny_adapter(directory: Path, name: str = "tiny", fill: int = 1, **manifest: object) -> Path:
    """Fill `directory` with a finished adapter; another `fill` is another version."""
    directory.mkdir(parents=True)
    (directory / CONFIG).write_text(json.dumps(lora_config(1)))
    (directory / WEIGHTS).write_bytes(tiny_weights(fill))
    (directory / CARD).write_text("# Tiny")
    fields = {
        "name": name,
        "base_model": "google/gemma-3-270m-it",
        "base_sha256": "0" * 64,
        "dtype": "bfloat16",
        "rank": 1,
        "created": datetime(2026, 11, 1, tzinfo=UTC),
        "calibration": Calibration(threshold=0.3),
        "scores": {"f1": fill / 100},
        "licence": "Gemma Terms of Use",
        **manifest,
    }
    write_manifest(directory, Manifest.model_validate(fields))
    return directory
