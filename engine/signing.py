"""Signatures of adapter directories by a key pair, offline: model-signing's bundles, no transparency log.

A signature lies beside the directory, as `<directory>.sig`: the directory itself holds a fixed set of files.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from engine.errors import AdapterError, ConfigError, unimportable


def signature_of(directory: Path) -> Path:
    """Return where the signature of `directory` lies."""
    return directory.with_name(f"{directory.name}.sig")


def sign(directory: Path, private_key: Path) -> Path:
    """Sign the files in `directory` and return the signature's file."""
    signing, _ = _library()
    signature = signature_of(directory)
    try:
        signing.Config().use_elliptic_key_signer(private_key=private_key).sign(directory, signature)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"ENGINE_SIGNING_KEY: {private_key} is no private key of a NIST curve") from error
    except OSError as error:
        raise ConfigError(f"ENGINE_SIGNING_KEY: {error.filename}: {error.strerror}") from error
    return signature


def verify(directory: Path, public_key: Path, signature: Path | None = None) -> None:
    """Raise AdapterError unless `signature` was made for these files by the key's owner."""
    from cryptography.exceptions import InvalidSignature

    _, verifying = _library()
    signature = signature or signature_of(directory)
    if not signature.is_file():
        raise AdapterError(f"{directory} is not signed: there is no {signature.name} beside it")
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"ENGINE_VERIFY_KEY: {public_key} is no public key of a NIST curve") from error
    except OSError as error:
        raise ConfigError(f"ENGINE_VERIFY_KEY: {public_key}: {error.strerror}") from error
    try:
        config.verify(directory, signature)
    except (ValueError, TypeError, LookupError, AttributeError, InvalidSignature, OSError) as error:
        raise AdapterError(f"{signature} is no valid signature of {directory} by {public_key}") from error


def _library() -> tuple[ModuleType, ModuleType]:
    try:
        from model_signing import signing, verifying
    except ImportError as missing:
        raise unimportable(missing, "model-signing", "signing") from missing
    return signing, verifying
