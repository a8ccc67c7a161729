"""Genuine requests are told from others, whichever secret they come with."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from pydantic import SecretStr

from bot.signatures import TOLERANCE_SECONDS, Proof, Secrets, read_secrets
from engine.errors import ConfigError

NOW = 1_800_000_000
TOKEN, OTHER = "t" * 32, "o" * 32
KEY, OLD_KEY = b"k" * 32, b"l" * 32
BODY = '{"title": "注文"}'.encode()


def signing(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}"


def secrets(*common: str, projects: dict[int, tuple[str, ...]] | None = None) -> Secrets:
    return read_secrets(
        map(SecretStr, common), {number: map(SecretStr, own) for number, own in (projects or {}).items()}
    )


def signed(key: bytes, *, at: object = NOW, message: str = "msg_1", body: bytes = BODY) -> dict[str, str]:
    digest = hmac.new(key, f"{message}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def prove(known: Secrets, headers: dict[str, str], body: bytes = BODY) -> Proof | None:
    return known.prove(headers, body, NOW)


@pytest.mark.parametrize("token", [TOKEN, OTHER])
def test_every_token_is_good(token: str) -> None:
    """While a token is being changed, the old and the new one count."""
    assert prove(secrets(TOKEN, OTHER), {"X-Gitlab-Token": token})


@pytest.mark.parametrize("token", ["", "t", TOKEN[:-1], TOKEN + "t", TOKEN.upper(), "\udcff", "ｔ" * 32])
def test_any_other_token_is_not(token: str) -> None:
    """Nothing but the token itself will do."""
    assert prove(secrets(TOKEN), {"X-Gitlab-Token": token}) is None


def test_nothing_is_good_without_secrets() -> None:
    """Nobody is let in by default."""
    assert secrets().is_empty
    assert prove(secrets(), {"X-Gitlab-Token": ""}) is None
    assert prove(secrets(), {}) is None


def test_a_signature_proves_the_body() -> None:
    """The signature of Standard Webhooks is that of id, time and raw bytes."""
    assert prove(secrets(signing(KEY)), signed(KEY)) is not None
    assert prove(secrets(signing(KEY)), signed(KEY), BODY + b" ") is None


def test_the_signature_is_that_of_the_specification() -> None:
    """The example that the specification of Standard Webhooks gives."""
    known = secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert known.prove(headers, b'{"test": 2432232314}', 1614265330) is not None


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_every_signing_key_is_good(key: bytes) -> None:
    """While a key is being changed, the old and the new one count."""
    assert prove(secrets(signing(KEY), signing(OLD_KEY)), signed(key))


def test_one_good_signature_of_several_is_enough() -> None:
    """A sender that changes its key signs with both."""
    headers = signed(KEY)
    headers["webhook-signature"] = f"v1,AAAA v2,xyz v1a,!! {headers['webhook-signature']}"
    assert prove(secrets(signing(KEY)), headers)


@pytest.mark.parametrize(
    ("at", "good"),
    [
        (NOW - TOLERANCE_SECONDS, True),
        (NOW + TOLERANCE_SECONDS, True),
        (NOW - TOLERANCE_SECONDS - 1, False),
        (NOW + TOLERANCE_SECONDS + 1, False),
        ("", False),
        ("now", False),
        (-NOW, False),
        (f"{NOW}.0", False),
        ("1" * 400, False),
        ("１８００００００００", False),
    ],
)
def test_signatures_hold_for_a_while(at: object, good: bool) -> None:
    """An old message cannot be sent again, nor one of the future kept."""
    assert bool(prove(secrets(signing(KEY)), signed(KEY, at=at))) is good


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": ""},
        {"webhook-id": "msg_2"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,%%%"},
        {"webhook-signature": "v1,ｘ"},
    ],
)
def test_a_changed_header_proves_nothing(change: dict[str, str]) -> None:
    """Each part is covered."""
    assert prove(secrets(signing(KEY)), signed(KEY) | change) is None


def test_a_signing_key_is_no_token() -> None:
    """What signs is never sent, so whoever sends it is not GitLab."""
    assert prove(secrets(signing(KEY)), {"X-Gitlab-Token": signing(KEY)}) is None


def test_a_project_with_secrets_of_its_own_has_no_other() -> None:
    """Its secret is good for it alone, and the common one is good for all others."""
    known = secrets(TOKEN, projects={7: (OTHER,)})
    own, common = prove(known, {"X-Gitlab-Token": OTHER}), prove(known, {"X-Gitlab-Token": TOKEN})
    assert own is not None
    assert common is not None
    assert [own.covers(project) for project in (7, 8, None)] == [True, False, False]
    assert [common.covers(project) for project in (7, 8, None)] == [False, True, True]


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "at least 16"),
        ("short", "at least 16"),
        ("with\nnewline" * 4, "printable"),
        ("ひみつ" * 10, "printable"),
        ("whsec_%%%", "not base64"),
        ("whsec_AAAA", "at least 16 bytes"),
    ],
)
def test_weak_secrets_are_refused(secret: str, message: str) -> None:
    """The error names the setting, and says nothing of the secret."""
    with pytest.raises(ConfigError, match=f"BOT_WEBHOOK_SECRETS: .*{message}") as caught:
        secrets(secret)
    assert not secret or secret not in str(caught.value)
    with pytest.raises(ConfigError, match="BOT_PROJECT_SECRETS: 7"):
        secrets(projects={7: (secret,)})


def test_secrets_are_not_shown() -> None:
    """Neither the secrets nor a proof print themselves."""
    proof = prove(secrets(TOKEN), {"X-Gitlab-Token": TOKEN})
    assert TOKEN not in repr(proof)
