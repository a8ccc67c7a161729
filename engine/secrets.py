"""Secrets that are known by their shape: access keys, tokens, private keys, passwords in addresses. Pure.

Only patterns that hardly anything else fits. What to put in their place is left to whoever asks.
"""

from __future__ import annotations

import re
from functools import cache

PATTERNS: dict[str, str] = {
    "gitlab": r"\bgl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct|oas)-[0-9A-Za-z_.-]{16,}",
    "github": r"\bgh[pousr]_[0-9A-Za-z]{30,}|\bgithub_pat_[0-9A-Za-z_]{40,}",
    "aws": r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b|(?i:aws_secret_access_key\W{1,4})[0-9A-Za-z/+]{40}",
    "google": r"\bAIza[0-9A-Za-z_-]{35}|\bya29\.[0-9A-Za-z_-]{20,}",
    "slack": r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}|\bhooks\.slack\.com/services/[0-9A-Za-z/]{20,}",
    "openai": r"\bsk-(?:ant-|proj-)?[0-9A-Za-z_-]{20,}",  # and Anthropic
    "stripe": r"\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}",
    "sendgrid": r"\bSG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}",
    "npm": r"\bnpm_[0-9A-Za-z]{30,}",
    "pypi": r"\bpypi-[0-9A-Za-z_-]{50,}",
    "huggingface": r"\bhf_[0-9A-Za-z]{30,}",
    "digitalocean": r"\bdop_v1_[0-9a-f]{60,}",
    "vault": r"\bhvs\.[0-9A-Za-z_-]{24,}",
    "webhook": r"\bwhsec_[0-9A-Za-z+/=]{24,}",  # Standard Webhooks
    "age": r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}",
    "jwt": r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}",
    "private_key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)",
    "url_password": r"(?<=://)[^\s:/@]{1,100}:[^\s/@]{3,200}(?=@)",
}
"""Name -> pattern, in the order they are tried at a place. No groups inside, and `.` is any character."""

_HINTS = (
    *("glpat-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-"),
    *(
        "glffct-",
        "gloas-",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "akia",
        "asia",
        "abia",
        "acca",
    ),
    *("aws_secret", "aiza", "ya29.", "xox", "hooks.slack", "sk-", "sk_live", "sk_test", "rk_live", "rk_test"),
    *("sg.", "npm_", "pypi-", "hf_", "dop_v1_", "hvs.", "whsec_", "age-secret", "eyj", "-----begin", "://"),
)


def may_hold_secret(text: str) -> bool:
    """Tell, ten times sooner than the pattern, that there is nothing to find; True may still be nothing."""
    lower = text.lower()
    return any(hint in lower for hint in _HINTS)


@cache
def secret_pattern() -> re.Pattern[str]:
    """Return the pattern of all secrets; the group that matched is named for the kind."""
    return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in PATTERNS.items()), re.DOTALL)
