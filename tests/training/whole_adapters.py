"""Finished adapters of random weights for Gemma 3 270M."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from engine.adapters import CARD, Manifest, write_manifest
from engine.testing import write_random_adapter

BASE_SHA256 = "ab" * 32


def write_adapter(
    directory: Path, seed: int = 0, *, rank: int = 1, strength: float = 0.02, **manifest: object
) -> Path:
    """Fill `directory` with a finished adapter; another `seed` is another version."""
    write_random_adapter(directory, seed=seed, rank=rank, strength=strength)
    (directory / CARD).write_text("# Random\n", encoding="utf-8")
    fields = {
        "name": "team",
        "base_model": "google/gemma-3-270m",
        "base_sha256": BASE_SHA256,
        "dtype": "bfloat16",
        "rank": rank,
        "created": datetime(2026, 11, 1, tzinfo=UTC),
        "scores": {"top1": 0.5},
        "licence": "Gemma Terms of Use",
        **manifest,
    }
    write_manifest(directory, Manifest.model_validate(fields))
    return directory
