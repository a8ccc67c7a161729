"""The adapters of every project: their files below the data directory, their states in the database.

A change of champion is one transaction: whoever looks sees the old one or the new one, never none or two.
Files come before rows and go after them, so that a row never lacks its files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select, update
from sqlalchemy import delete as delete_from

from engine import signing
from engine.adapter_files import AdapterFiles, check_adapter
from engine.adapters import Adapter, read_manifest
from engine.curves import LossCurve
from engine.errors import AdapterConflict, AdapterError, UnknownAdapter
from engine.lifecycle import Action, AdapterState, Promotion, RegisteredAdapter
from engine.store.database import Database
from engine.store.tables import adapters, promotions

_FOLDER = "adapters"


class Registry:
    """What may be done with adapters. Safe to share between threads and processes."""

    def __init__(self, data: Path, database: Database, *, verify_key: Path | None = None) -> None:
        self.data = data
        self.files = AdapterFiles(data / _FOLDER)
        self._database = database
        self._verify_key = verify_key

    def import_adapter(
        self, source: Path, project: str, *, base_sha256: str | None = None
    ) -> RegisteredAdapter:
        """Return the adapter in `source`, copied, as a candidate of `project`; as it is if it is known.

        Raises AdapterError for one that is not whole, holds anything else, is made for another base than
        `base_sha256`, or lacks a valid signature where a key is set.
        """
        given = check_adapter(source)
        if base_sha256 is not None and given.manifest.base_sha256 != base_sha256:
            raise AdapterError(f"{source} is made for another base model, {given.manifest.base_model}")
        with self.files.locked():
            ours = self.files.take_in(source, lambda copy: self._check_signature(copy, source))
            with self._database.writing(adapters) as connection:
                if _find(connection, project, ours.version) is None:
                    connection.execute(insert(adapters).values(_row(project, ours, self.data)))
        return self.show(project, ours.version)

    def export_adapter(
        self, project: str, version: str, target: Path, *, signing_key: Path | None = None
    ) -> Path:
        """Return `target`, made to hold a copy, signed beside it if there is a key."""
        self.show(project, version)
        exported = self.files.hand_out(version, target)
        if signing_key is not None:
            signing.sign(exported, signing_key)
        return exported

    def list_adapters(
        self, project: str | None = None, state: AdapterState | None = None
    ) -> list[RegisteredAdapter]:
        """Return the adapters, those of one project or in one state only where asked, the newest first."""
        query = select(adapters).order_by(
            adapters.c.project, adapters.c.added.desc(), adapters.c.created.desc(), adapters.c.version
        )
        if project is not None:
            query = query.where(adapters.c.project == project)
        if state is not None:
            query = query.where(adapters.c.state == state.value)
        with self._database.reading() as connection:
            return [_adapter(row) for row in connection.execute(query)]

    def show(self, project: str, version: str) -> RegisteredAdapter:
        """Return one adapter; raises UnknownAdapter."""
        with self._database.reading() as connection:
            return _get(connection, project, version)

    def champion(self, project: str) -> RegisteredAdapter | None:
        """Return the project's champion, if it has one."""
        with self._database.reading() as connection:
            return _champion(connection, project)

    def curve(self, project: str, version: str) -> LossCurve:
        """Return the loss of an adapter's training; without points where it was not recorded."""
        manifest, found = read_manifest(self.directory(self.show(project, version)))
        if found != version:
            raise AdapterError(f"{version} was changed: its manifest makes it {found}")
        return manifest.curve or LossCurve()

    def directory(self, adapter: RegisteredAdapter) -> Path:
        """Return where the adapter's files are."""
        return self.data / adapter.path

    def history(self, project: str) -> list[Promotion]:
        """Return all changes of champion, the latest first."""
        query = select(promotions).where(promotions.c.project == project).order_by(promotions.c.id.desc())
        with self._database.reading() as connection:
            return [_promotion(row) for row in connection.execute(query)]

    def compare(self, project: str, versions: Sequence[str]) -> list[RegisteredAdapter]:
        """Return these adapters, all as they are at one moment; see `engine.lifecycle.score_rows`."""
        with self._database.reading() as connection:
            return [_get(connection, project, version) for version in versions]

    def promote(self, project: str, version: str, actor: str = "") -> RegisteredAdapter:
        """Make an adapter champion and retire the one before; does nothing if it is champion already."""
        with self._database.writing(adapters, promotions) as connection:
            adapter = _get(connection, project, version)
            if adapter.state is AdapterState.REJECTED:
                raise AdapterConflict(f"{version} was rejected: it cannot be promoted")
            if adapter.state is not AdapterState.CHAMPION:
                head = _head(connection, project)
                _enthrone(connection, adapter, Action.PROMOTE, head.id if head else None, actor)
            return _get(connection, project, version)

    def roll_back(self, project: str, version: str | None = None, actor: str = "") -> RegisteredAdapter:
        """Return the champion before this one, made champion again; or `version`, if it ever was.

        Each roll back goes one further down, past adapters that were deleted or rejected.
        """
        with self._database.writing(adapters, promotions) as connection:
            target = _rollback_target(connection, project, version)
            adapter = _get(connection, project, target.version)
            _enthrone(connection, adapter, Action.ROLL_BACK, target.below, actor)
            return _get(connection, project, adapter.version)

    def reject(self, project: str, version: str) -> RegisteredAdapter:
        """Have an adapter never serve; raises AdapterConflict for the champion."""
        with self._database.writing(adapters) as connection:
            if _get(connection, project, version).state is AdapterState.CHAMPION:
                raise AdapterConflict(f"{version} is the champion: roll back first")
            _set(connection, project, version, state=AdapterState.REJECTED.value)
            return _get(connection, project, version)

    def record_scores(self, project: str, version: str, scores: Mapping[str, float]) -> RegisteredAdapter:
        """Add measurements that were made after the manifest was written."""
        with self._database.writing(adapters) as connection:
            known = _get(connection, project, version).scores
            _set(connection, project, version, scores={**known, **scores})
            return _get(connection, project, version)

    def delete(self, project: str, version: str) -> None:
        """Forget an adapter; its files go with its last project. Raises AdapterConflict for the champion."""
        with self.files.locked():
            with self._database.writing(adapters) as connection:
                if _get(connection, project, version).state is AdapterState.CHAMPION:
                    raise AdapterConflict(
                        f"{version} is the champion: promote another one or roll back first"
                    )
                connection.execute(delete_from(adapters).where(_is(project, version)))
                used = select(func.count()).select_from(adapters).where(adapters.c.version == version)
                is_last = connection.execute(used).scalar_one() == 0
            if is_last:
                self.files.remove(version)

    def _check_signature(self, copy: Path, source: Path) -> None:
        if self._verify_key is not None:
            signing.verify(copy, self._verify_key, signing.signature_of(source))


def _is(project: str, version: str) -> Any:
    return and_(adapters.c.project == project, adapters.c.version == version)


def _find(connection: Connection, project: str, version: str) -> RegisteredAdapter | None:
    row = connection.execute(select(adapters).where(_is(project, version))).one_or_none()
    return None if row is None else _adapter(row)


def _get(connection: Connection, project: str, version: str) -> RegisteredAdapter:
    adapter = _find(connection, project, version)
    if adapter is None:
        raise UnknownAdapter(f"no adapter {version} in project {project}")
    return adapter


def _champion(connection: Connection, project: str) -> RegisteredAdapter | None:
    champion = and_(adapters.c.project == project, adapters.c.state == AdapterState.CHAMPION.value)
    row = connection.execute(select(adapters).where(champion)).one_or_none()
    return None if row is None else _adapter(row)


def _set(connection: Connection, project: str, version: str, **values: object) -> None:
    connection.execute(update(adapters).where(_is(project, version)).values(values))


def _head(connection: Connection, project: str) -> Row[Any] | None:
    """Return the row that made the present champion."""
    query = (
        select(promotions).where(promotions.c.project == project).order_by(promotions.c.id.desc()).limit(1)
    )
    return connection.execute(query).one_or_none()


def _rollback_target(connection: Connection, project: str, version: str | None) -> Row[Any]:
    """Return the row to return to: that of `version`, or the nearest below whose adapter can serve."""
    head = _head(connection, project)
    if head is None:
        raise AdapterConflict(f"project {project} never had a champion")
    if version is not None:
        return _last_reign(connection, project, version, head)
    below = head.below
    while below is not None:
        row = connection.execute(select(promotions).where(promotions.c.id == below)).one()
        adapter = _find(connection, project, row.version)
        if adapter and adapter.state is AdapterState.RETIRED:
            return row
        below = row.below
    raise AdapterConflict(f"project {project} has no champion before {head.version} to return to")


def _last_reign(connection: Connection, project: str, version: str, head: Row[Any]) -> Row[Any]:
    state = _get(connection, project, version).state
    if version == head.version or state is AdapterState.REJECTED:
        raise AdapterConflict(f"{version} is {state.value}: there is nothing to roll back to")
    query = (
        select(promotions)
        .where(promotions.c.project == project, promotions.c.version == version)
        .order_by(promotions.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise AdapterConflict(f"{version} never was champion: promote it")
    return row


def _enthrone(
    connection: Connection, adapter: RegisteredAdapter, action: Action, below: int | None, actor: str
) -> None:
    """Write the change of champion; `below` is the promotion that a later roll back returns to."""
    if (champion := _champion(connection, adapter.project)) is not None:
        _set(connection, champion.project, champion.version, state=AdapterState.RETIRED.value)
    _set(connection, adapter.project, adapter.version, state=AdapterState.CHAMPION.value)
    connection.execute(
        insert(promotions).values(
            project=adapter.project,
            version=adapter.version,
            action=action.value,
            below=below,
            actor=actor,
            at=datetime.now(UTC),
        )
    )


def _row(project: str, adapter: Adapter, data: Path) -> dict[str, object]:
    manifest = adapter.manifest
    return {
        "project": project,
        "version": adapter.version,
        "name": manifest.name,
        "path": adapter.path.relative_to(data).as_posix(),
        "base_model": manifest.base_model,
        "base_sha256": manifest.base_sha256,
        "state": AdapterState.CANDIDATE.value,
        "scores": manifest.scores,
        "created": manifest.created,
        "added": datetime.now(UTC),
    }


def _adapter(row: Row[Any]) -> RegisteredAdapter:
    return RegisteredAdapter.model_validate(dict(row._mapping))


def _promotion(row: Row[Any]) -> Promotion:
    kept = {name: row._mapping[name] for name in Promotion.model_fields}
    return Promotion.model_validate(kept)
