"""Secrets are masked, and code that only looks like one is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.masking import MASK, mask

SECRETS = json.loads((Path(__file__).parent / "data" / "injections.json").read_text("utf-8"))["secrets"]


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_masked(name: str) -> None:
    """In the middle of a sentence, alone, and once more."""
    text, secret = SECRETS[name]["text"], SECRETS[name]["secret"]
    for around in (text, f"Do not commit {text}", f"{text}\n{text}"):
        masked = mask(around)
        assert MASK in masked
        assert secret not in masked
        assert mask(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "glpat- is the prefix of a token",
        "sk-learn, ask-me-anything-about-this",
        "AKIA",
        "https://example.com:8080/path@2x.png",
        "git@gitlab.example:team/app.git",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "-----BEGIN CERTIFICATE-----",
        "eyJ is how a token begins",
        "http://localhost/a:b",
        "パスワードを引数にしないでください",
    ],
)
def test_other_text_stays(text: str) -> None:
    """A remark about secrets is no secret."""
    assert mask(text) == text
