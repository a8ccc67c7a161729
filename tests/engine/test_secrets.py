"""Every kind of secret is found, by its own name, and the quick look never says no to one."""

from __future__ import annotations

import pytest

from engine.secrets import PATTERNS, may_hold_secret, secret_pattern

EXAMPLES = {
    "gitlab": "glpat-" + "aB3_" * 5,
    "github": "ghp_" + "aB3" * 12,
    "aws": "AWS_Secret_Access_Key = " + "aB3/" * 10,
    "google": "AIza" + "aB3_-" * 7,
    "slack": "xoxb-" + "123-" * 4,
    "openai": "sk-" + "aB3_" * 6,
    "stripe": "rk_live_" + "aB3" * 6,
    "sendgrid": "SG." + "aB3_" * 5 + "." + "aB3_" * 5,
    "npm": "npm_" + "aB3" * 11,
    "pypi": "pypi-" + "aB3_" * 13,
    "huggingface": "hf_" + "aB3" * 11,
    "digitalocean": "dop_v1_" + "a3" * 31,
    "vault": "hvs." + "aB3_" * 7,
    "webhook": "whsec_" + "aB3=" * 7,
    "age": "AGE-SECRET-KEY-1" + "AB3" * 18,
    "jwt": "eyJ" + "aB3_" * 4 + ".eyJ" + "aB3_" * 4 + "." + "aB3_" * 4,
    "private_key": "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----",
    "url_password": "https://user:pass@host/x",
}


@pytest.mark.parametrize("kind", PATTERNS)
def test_each_kind_is_found_by_its_name(kind: str) -> None:
    """The kind is what reports count by."""
    text = f"x = {EXAMPLES[kind]} # here"
    assert may_hold_secret(text)
    match = secret_pattern().search(text)
    assert match is not None
    assert match.lastgroup == kind


@pytest.mark.parametrize(
    "prefix", ["pat", "dt", "rt", "rtr", "cbt", "ptt", "ft", "imt", "agent", "soat", "ffct", "oas"]
)
def test_every_token_of_gitlab_is_known(prefix: str) -> None:
    """To the quick look as well."""
    text = f"gl{prefix}-" + "aB3_" * 5
    assert may_hold_secret(text)
    assert secret_pattern().fullmatch(text)


@pytest.mark.parametrize("start", ["gho_", "ghu_", "ghs_", "ghr_"])
def test_every_token_of_github_is_known(start: str) -> None:
    """Likewise."""
    assert may_hold_secret(start + "aB3" * 12)


def test_ordinary_code_is_not_looked_at_twice() -> None:
    """The quick look says no to most code."""
    assert not may_hold_secret("def total(rows: list[int]) -> int:\n    return sum(rows)  # all of them\n")
