"""Secrets in text that is about to be posted: masked, so that a review never spreads one. Pure.

Only patterns that hardly anything else fits: a masked word in a remark is a nuisance, and a masked line makes
its suggestion unusable.
"""

from __future__ import annotations

import re

MASK = "[secret]"

_SECRET = re.compile(
    "|".join(
        (
            r"\bgl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct|oas)-[0-9A-Za-z_.-]{16,}",  # GitLab
            r"\bgh[pousr]_[0-9A-Za-z]{30,}",  # GitHub
            r"\bgithub_pat_[0-9A-Za-z_]{40,}",
            r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",  # AWS
            r"(?i:aws_secret_access_key\W{1,4})[0-9A-Za-z/+]{40}",
            r"\bAIza[0-9A-Za-z_-]{35}",  # Google
            r"\bya29\.[0-9A-Za-z_-]{20,}",
            r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}",  # Slack
            r"\bhooks\.slack\.com/services/[0-9A-Za-z/]{20,}",
            r"\bsk-(?:ant-|proj-)?[0-9A-Za-z_-]{20,}",  # OpenAI, Anthropic
            r"\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}",  # Stripe
            r"\bSG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}",  # SendGrid
            r"\bnpm_[0-9A-Za-z]{30,}",
            r"\bpypi-[0-9A-Za-z_-]{50,}",
            r"\bhf_[0-9A-Za-z]{30,}",  # Hugging Face
            r"\bdop_v1_[0-9a-f]{60,}",  # DigitalOcean
            r"\bhvs\.[0-9A-Za-z_-]{24,}",  # Vault
            r"\bwhsec_[0-9A-Za-z+/=]{24,}",  # Standard Webhooks
            r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}",
            r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}",  # JSON Web Token
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)",
            r"(?<=://)[^\s:/@]{1,100}:[^\s/@]{3,200}(?=@)",  # user:password@host
        )
    ),
    re.DOTALL,
)


def mask(text: str) -> str:
    """Return `text` with every secret in it replaced."""
    return _SECRET.sub(MASK, text)
