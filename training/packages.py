"""Adapters as generic packages of a GitLab project: published once, fetched whole or not at all.

A package's version is the adapter's, which is made of its content, so nothing is ever replaced. The manifest
is sent last: a version without one is unfinished, and whoever looks for the newest passes it by.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from engine import signing
from engine.adapter_checks import MAX_BYTES
from engine.adapter_files import check_adapter, copy_adapter
from engine.adapters import FILES, MANIFEST, Adapter, load_adapter, starter_adapter
from engine.errors import AdapterConflict, AdapterError, InputError, UnknownAdapter
from engine.models import sha256_of
from training.errors import GitLabRefused, GitLabUnavailable
from training.history.connection import Server, project_path

PACKAGE = "tenken-adapter"
SIGNATURE = "adapter.sig"
_MAX_SIGNATURE = 2**20
_SENDS = 3
# https://docs.gitlab.com/user/packages/generic_packages/
_NAME = re.compile(r"[A-Za-z0-9._+-]+")

Hashes = Mapping[str, frozenset[str]]
"""File name -> sha256 of each file of that name: GitLab keeps both, and hands out the newest."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A version that GitLab has, whole or not."""

    id: int
    version: str


@dataclass(frozen=True, slots=True)
class Published:
    """An adapter that is in GitLab now."""

    version: str
    sent: tuple[str, ...]  # files; none where all were there already


class Packages:
    """The versions of one package of a project. Raises GitLabRefused, or GitLabUnavailable."""

    def __init__(self, server: Server, project: str, name: str = PACKAGE) -> None:
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} is no name of a package: letters, digits and . _ + - are allowed")
        self._server, self._at, self.name = server, f"{project_path(project)}/packages", name

    def versions(self) -> Iterator[Listed]:
        """Yield all versions, the newest first."""
        rows = self._server.rows(
            self._at, package_type="generic", package_name=self.name, order_by="created_at", sort="desc"
        )
        for row in rows:
            if row.get("name") == self.name:  # GitLab also finds names that are only like it
                yield Listed(int(row["id"]), str(row.get("version") or ""))

    def version(self, version: str) -> Listed | None:
        """Return one version, None if there is none."""
        return next((each for each in self.versions() if each.version == version), None)

    def hashes(self, listed: Listed) -> Hashes:
        """Return what a version holds."""
        found: dict[str, set[str]] = defaultdict(set)
        for row in self._server.rows(f"{self._at}/{listed.id}/package_files"):
            found[str(row.get("file_name"))].add(str(row.get("file_sha256") or ""))
        return {name: frozenset(hashes) for name, hashes in found.items()}

    def send(self, version: str, name: str, path: Path) -> None:
        """Put a file into a version."""
        with path.open("rb") as body:
            self._server.send(f"{self._at}/generic/{self.name}/{version}/{name}", body)

    def save(self, version: str, name: str, target: Path, limit: int) -> str:
        """Write a file of a version to `target`, and return its sha256."""
        return self._server.save(f"{self._at}/generic/{self.name}/{version}/{name}", target, limit)


def publish(packages: Packages, directory: Path, signature: Path | None = None) -> Published:
    """Put the adapter in `directory` into GitLab, with its signature if there is one; return what was sent.

    Files that are there are not sent again, so an interrupted run is simply repeated. Raises AdapterConflict
    where the version holds a file of another content.
    """
    adapter = check_adapter(directory)
    files = {name: directory / name for name in FILES}
    files |= {SIGNATURE: signature} if signature else {}
    files |= {MANIFEST: directory / MANIFEST}
    known = _known(packages, adapter.version)
    sent = []
    for name, path in files.items():
        wanted = adapter.manifest.files.get(name) or sha256_of(path)
        if _holds(packages, adapter.version, name, known, wanted):
            continue
        _send(packages, adapter.version, name, path, wanted)
        sent.append(name)
    return Published(adapter.version, tuple(sent))


def fetch(
    packages: Packages, target: Path, version: str | None = None, verify_key: Path | None = None
) -> Adapter:
    """Return the adapter `version`, or the newest whole one, in the new directory `target`.

    Every file is compared with the sha256 that GitLab has of it and with the manifest's; the version says
    the manifest's own. With a key the signature must be that of its owner. `target` appears whole or not at
    all; one that holds this adapter already is left as it is.
    """
    listed, hashes = _find(packages, version)
    if target.exists():
        if load_adapter(target).version != listed.version:
            raise AdapterConflict(f"{target} exists already, and holds another adapter")
        if verify_key is not None:
            signing.verify(target, verify_key)
        return load_adapter(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
        made = Path(scratch) / target.name
        made.mkdir()
        for name in (MANIFEST, *FILES):
            _save(packages, listed, name, made / name, hashes)
        _check_version(made, listed)
        signature = signing.signature_of(made)
        if SIGNATURE in hashes:
            _save(packages, listed, SIGNATURE, signature, hashes)
        if verify_key is not None:
            signing.verify(made, verify_key, signature)
        if signature.is_file():
            signature.replace(signing.signature_of(target))
        made.replace(target)
    return load_adapter(target)


def place_starter(target: Path) -> Adapter:
    """Return the adapter that came along, in the new directory `target`; what is there is left as it is."""
    starter = starter_adapter()
    if starter is None:
        raise AdapterError("this installation came without a starter adapter")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
            made = Path(scratch) / target.name
            made.mkdir()
            copy_adapter(starter, made)
            made.replace(target)
    return load_adapter(target)


def _find(packages: Packages, version: str | None) -> tuple[Listed, Hashes]:
    """Return the version and its files; the newest whole one where none is named."""
    for listed in packages.versions():
        if version is not None and listed.version != version:
            continue
        hashes = packages.hashes(listed)
        if MANIFEST in hashes:
            return listed, hashes
        if version is not None:
            raise UnknownAdapter(f"{packages.name} {version} is unfinished: it has no {MANIFEST} yet")
    wanted = f"version {version}" if version else "whole version"
    raise UnknownAdapter(f"package {packages.name} has no {wanted} in this project")


def _known(packages: Packages, version: str) -> Hashes:
    listed = packages.version(version)
    return packages.hashes(listed) if listed else {}


def _holds(packages: Packages, version: str, name: str, known: Hashes, wanted: str) -> bool:
    """Tell whether the version has the file; raises AdapterConflict where it has another of that name."""
    found = known.get(name, frozenset())
    if found - {wanted}:
        raise AdapterConflict(
            f"{packages.name} {version} has another {name}: delete that version in GitLab, or find out who "
            "put it there"
        )
    return wanted in found


def _send(packages: Packages, version: str, name: str, path: Path, wanted: str) -> None:
    """Send a file until it is there as it should be. An answer may be lost though the file arrived."""
    failure: GitLabRefused | GitLabUnavailable | None = None
    for _ in range(_SENDS):
        try:
            packages.send(version, name, path)
        except GitLabUnavailable as error:
            failure = error
        except GitLabRefused as error:
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            failure = error  # a duplicate, perhaps: another run was faster
        if _holds(packages, version, name, _known(packages, version), wanted):
            return
        if isinstance(failure, GitLabRefused):
            raise failure
    raise failure or GitLabUnavailable(f"GitLab took {name}, but does not list it")


def _save(packages: Packages, listed: Listed, name: str, target: Path, hashes: Hashes) -> None:
    digest = packages.save(listed.version, name, target, MAX_BYTES.get(name, _MAX_SIGNATURE))
    if hashes.get(name, frozenset()) != {digest}:
        raise AdapterError(f"{packages.name} {listed.version}: {name} is not the file that GitLab lists")


def _check_version(directory: Path, listed: Listed) -> None:
    adapter = check_adapter(directory)
    if adapter.version != listed.version:
        raise AdapterError(f"the version {listed.version} holds another adapter, {adapter.version}")
