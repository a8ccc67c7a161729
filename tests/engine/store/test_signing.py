"""Signed adapters: only what the key's owner signed, exactly as it was signed, is taken in. All offline."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.adapters import CARD, Manifest, load_adapter, write_manifest
from engine.errors import AdapterError, ConfigError
from engine.settings import EngineSettings
from engine.signing import sign, signature_of, verify
from engine.store.opening import Store, open_store

pytest.importorskip("model_signing")
MakeAdapter = Callable[..., Path]
P = "group/app"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked for anything."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """Make key pairs, each a private and a public file."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def make(name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        private, public = tmp_path / f"{name}.key", tmp_path / f"{name}.pub"
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        private.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        public.write_bytes(key.public_key().public_bytes(pem, info))
        return private, public

    return make


Keys = Callable[[str], tuple[Path, Path]]


@pytest.fixture
def store(tmp_path: Path, keys: Keys) -> Iterator[Store]:
    """A store that takes what `ours` signed."""
    _, public = keys("ours")
    with open_store(EngineSettings(data_dir=tmp_path / "data", verify_key=public)) as opened:
        yield opened


def test_signed_adapter_is_taken(store: Store, make_adapter: MakeAdapter, tmp_path: Path) -> None:
    """What was exported with the private key imports with the public one."""
    with open_store(EngineSettings(data_dir=tmp_path / "trainer")) as trainer:
        version = trainer.registry.import_adapter(make_adapter(), P).version
        target = tmp_path / "out"
        trainer.registry.export_adapter(P, version, target, signing_key=tmp_path / "ours.key")
    assert store.registry.import_adapter(target, P).version == version


def test_unsigned_adapter_is_refused(store: Store, make_adapter: MakeAdapter) -> None:
    """Where a key is set, no signature is as good as a bad one, and nothing stays behind."""
    with pytest.raises(AdapterError, match="is not signed"):
        store.registry.import_adapter(make_adapter(), P)
    assert store.registry.list_adapters() == []
    assert [path.name for path in store.registry.files.root.iterdir()] == [".lock"]


def test_adapter_that_another_signed_is_refused(store: Store, make_adapter: MakeAdapter, keys: Keys) -> None:
    """A valid signature by a stranger is none."""
    source = make_adapter()
    sign(source, keys("theirs")[0])
    with pytest.raises(AdapterError, match="no valid signature"):
        store.registry.import_adapter(source, P)


def test_adapter_that_was_changed_is_refused(store: Store, make_adapter: MakeAdapter, tmp_path: Path) -> None:
    """Also where the manifest was made to fit the change."""
    source = make_adapter()
    sign(source, tmp_path / "ours.key")
    (source / CARD).write_text("# Better")
    manifest: Manifest = load_adapter(make_adapter()).manifest
    write_manifest(source, manifest)
    with pytest.raises(AdapterError, match="no valid signature"):
        store.registry.import_adapter(source, P)


def test_files_that_were_here_before_the_key_are_checked(
    store: Store, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    """Importing again what once came unsigned needs the signature too."""
    source = make_adapter()
    with open_store(EngineSettings(data_dir=tmp_path / "data")) as without:
        without.registry.import_adapter(source, "earlier")
    with pytest.raises(AdapterError, match="is not signed"):
        store.registry.import_adapter(source, P)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda bundle: "{}",
        lambda bundle: "not json",
        lambda bundle: "[]",
        lambda bundle: json.dumps(bundle | {"dsseEnvelope": {}}),
        lambda bundle: json.dumps(bundle | {"dsseEnvelope": bundle["dsseEnvelope"] | {"payload": "AAAA"}}),
        lambda bundle: json.dumps(bundle | {"dsseEnvelope": bundle["dsseEnvelope"] | {"signatures": []}}),
        lambda bundle: json.dumps(bundle | {"verificationMaterial": {}}),
        lambda bundle: json.dumps(bundle | {"mediaType": "x"}),
    ],
)
def test_spoiled_signature_is_an_adapter_error(
    make_adapter: MakeAdapter, keys: Keys, spoil: Callable[[dict[str, dict[str, object]]], str]
) -> None:
    """However the file is torn, the answer is a refusal in one line, or it still holds."""
    private, public = keys("k")
    source = make_adapter()
    signature = sign(source, private)
    bundle = json.loads(signature.read_text())
    signature.write_text(spoil(bundle))
    with pytest.raises(AdapterError, match="no valid signature"):
        verify(source, public)


def test_unfit_keys_are_configuration_errors(make_adapter: MakeAdapter, keys: Keys, tmp_path: Path) -> None:
    """The setting is named."""
    source = make_adapter()
    private, public = keys("k")
    with pytest.raises(ConfigError, match="ENGINE_SIGNING_KEY"):
        sign(source, public)
    with pytest.raises(ConfigError, match="ENGINE_SIGNING_KEY"):
        sign(source, tmp_path / "none")
    sign(source, private)
    assert signature_of(source).is_file()
    for key in (private, tmp_path / "none"):
        with pytest.raises(ConfigError, match="ENGINE_VERIFY_KEY"):
            verify(source, key)
