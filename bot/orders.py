"""Orders for durable work: taken on, looked up, given up, forgotten. `bot.durable` does what is ordered here.

Orders are rows of DBOS, written through its client. All methods block.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dbos import DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions, WorkflowStatus
from dbos import error as dbos_error
from sqlalchemy import Connection

from bot.database import Database, was_cut
from bot.work import Order, Payload
from engine.errors import StoreError

APPLICATION = "tenken"
REPORTS = "reports"
"""The kind of work that tells people about work nobody can do."""

_OPEN = ["ENQUEUED", "PENDING", "DELAYED"]
_DEAD = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
_FINISHED = ["SUCCESS", "ERROR", "CANCELLED", _DEAD]
_MOST_FORGOTTEN = 1000  # at once


@dataclass(frozen=True, slots=True)
class OpenWork:
    """Work that waits or runs."""

    id: str
    payload: Payload
    worker: str | None  # who does it; None while it waits


@dataclass(frozen=True, slots=True)
class Piece:
    """Work as it is shown to people. Times are seconds since 1970."""

    id: str
    kind: str
    payload: Payload
    status: str  # in the words of DBOS
    outcome: str  # what the work itself says in the end, "" before
    worker: str
    created: float
    begun: float | None
    ended: float | None


class Orders:
    """What is to be done, for all workers that share a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._client = DBOSClient(
            system_database_engine=database.engine,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
        )

    def close(self) -> None:
        """Let go of the database."""
        self._client.destroy()

    def store(self, orders: Sequence[Order]) -> list[bool]:
        """Keep orders, all or none, on disk when this returns; tell for each whether it is new."""
        try:
            return self._store_all(orders)
        except StoreError as error:
            if not was_cut(error):
                raise
        return self._store_all(orders)

    def open(self, kind: str, id_prefix: str = "") -> list[OpenWork]:
        """Return what waits or runs of a kind, sorted by id."""
        with self._database.explained():
            found = self._client.list_workflows(
                name=kind, status=_OPEN, workflow_id_prefix=id_prefix or None, load_output=False
            )
        return sorted(
            (
                OpenWork(
                    one.workflow_id,
                    one.input["args"][0] if one.input else {},
                    one.executor_id if one.status == "PENDING" else None,
                )
                for one in found
            ),
            key=lambda work: work.id,
        )

    def history(self, kinds: Collection[str], limit: int, *, finished: bool) -> list[Piece]:
        """Return the latest work that is finished, or that is open."""
        status = _FINISHED if finished else _OPEN
        with self._database.explained():
            found = self._client.list_workflows(name=list(kinds), status=status, sort_desc=True, limit=limit)
        return [_piece(one) for one in found]

    def ended_since(self, kinds: Collection[str], seconds: float, limit: int) -> list[Piece]:
        """Return what ended within so many seconds, without its payload."""
        begin = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
        with self._database.explained():
            found = self._client.list_workflows(
                name=list(kinds), status=_FINISHED, completed_after=begin, limit=limit, load_input=False
            )
        return [_piece(one) for one in found]

    def waiting(self, kind: str) -> int:
        """Return how much of a kind waits."""
        with self._database.explained():
            return len(
                self._client.list_workflows(
                    name=kind, status=["ENQUEUED", "DELAYED"], load_input=False, load_output=False
                )
            )

    def running(self) -> dict[str, str]:
        """Return the work that runs, each with its worker."""
        with self._database.explained():
            found = self._client.list_workflows(status="PENDING", load_input=False, load_output=False)
        return {one.workflow_id: one.executor_id or "" for one in found}

    def is_running(self, work_id: str, worker: str) -> bool:
        """Whether work is wanted, and this worker's to do."""
        with self._database.explained():
            found = self._client.list_workflows(workflow_ids=[work_id], load_input=False, load_output=False)
        return any(one.status == "PENDING" and one.executor_id == worker for one in found)

    def cancel(self, ids: Collection[str]) -> None:
        """Give work up. What waits is never begun; what runs writes nothing more and ends soon."""
        if ids:
            with self._database.explained():
                self._client.cancel_workflows(list(ids))

    def resume(self, work_id: str) -> None:
        """Have work done again that its worker has let go of."""
        with self._database.explained():
            status = self._client.retrieve_workflow(work_id).get_status()
            self._client.resume_workflow(work_id, queue_name=status.queue_name)

    def report_dead(self, kinds: Collection[str]) -> int:
        """Have people told about work that ended its process too often; return how much is new."""
        with self._database.explained():
            dead = self._client.list_workflows(status=_DEAD, name=list(kinds), load_output=False)
        return sum(
            self.store(
                [
                    Order(
                        REPORTS,
                        f"dead:{one.workflow_id}",
                        {"kind": one.name, "payload": one.input["args"][0]},
                    )
                    for one in dead
                    if one.input
                ]
            )
        )

    def forget(self, days: float) -> int:
        """Remove the oldest work that was finished longer ago, and return how much."""
        end = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        with self._database.explained():
            old = self._client.list_workflows(
                completed_before=end, load_input=False, load_output=False, limit=_MOST_FORGOTTEN
            )
            if old:
                self._client.delete_workflows([one.workflow_id for one in old])
        return len(old)

    def _store_all(self, orders: Sequence[Order]) -> list[bool]:
        try:
            with self._database.writing(durable=True) as connection:
                return [self._store(connection, order) for order in orders]
        except dbos_error.DBOSException as error:
            raise StoreError(f"{self._database.place}: {error}") from error

    def _store(self, connection: Connection, order: Order) -> bool:
        options: EnqueueOptions = {
            "workflow_name": order.kind,
            "queue_name": order.kind,
            "workflow_id": order.id,
            "workflow_id_reuse_policy": "reject",
        }
        if order.group is not None:
            options["queue_partition_key"] = order.group
        try:
            self._client.enqueue_in_transaction(connection, options, dict(order.payload))
        except dbos_error.DBOSWorkflowIDInUseError:
            return False
        return True


def _piece(one: WorkflowStatus) -> Piece:
    arguments = one.input["args"] if one.input else ()
    return Piece(
        one.workflow_id,
        one.name,
        arguments[0] if arguments and isinstance(arguments[0], dict) else {},
        one.status,
        one.output if isinstance(one.output, str) else "",
        one.executor_id or "" if one.status != "ENQUEUED" else "",
        _seconds(one.created_at) or 0.0,
        _seconds(one.dequeued_at),
        _seconds(one.completed_at),
    )


def _seconds(milliseconds: int | None) -> float | None:
    return milliseconds / 1000 if milliseconds is not None else None
