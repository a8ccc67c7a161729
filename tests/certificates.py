"""Certificates for tests, as a company's own authority makes them."""

from __future__ import annotations

import subprocess
from pathlib import Path


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for `localhost` that nobody knows, and its key."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    subprocess.run(
        [*new, "-keyout", str(key), "-out", str(certificate), *names], check=True, capture_output=True
    )
    return certificate, key
