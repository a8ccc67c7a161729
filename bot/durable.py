"""Does what was ordered, so that a crash loses none of it. With `bot.orders` the only import of DBOS.

DBOS keeps each piece of work with what its steps gave, and does it again where a process ended in the middle.
What it leaves open is added: others take over from a worker that is silent (`bot.janitor`), what was
superseded cannot write any more, and people are told of what fails for good.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import structlog
from dbos import DBOS, DBOSPortableJSONSerializer
from dbos import error as dbos_error

from bot.database import Database
from bot.errors import Superseded
from bot.orders import APPLICATION, REPORTS, Orders
from bot.work import Failure, FailureKind, Kind, Payload, StepFailed, patiently
from bot.workers import Lease, Leases, Workers
from engine.errors import StoreError

STEPS_VERSION = "1"
"""Changes when the steps of a kind change, and then only once all work of the old version is done."""

_ATTEMPTS = 10  # so often a process may end in the middle of the same work
_LEASE_PAUSE, _LONGEST_LEASE_PAUSE = 0.2, 2.0
_DATABASE_PAUSE = 1.0
_T = TypeVar("_T")
_log = structlog.get_logger()

OnEnd = Callable[[str, str, float], None]
"""Hears of work that ended: its kind, `done`, `given_up` or the kind of failure, and the seconds it took."""


@dataclass(frozen=True, slots=True)
class DurableOptions:
    """Who does the work, and how patiently."""

    worker: str
    silent_seconds: float = 60
    retry_seconds: float = 900
    finish_seconds: float = 20  # for work that runs when the process is told to stop


class Durable:
    """Does orders in this process. DBOS allows one in a process at a time."""

    def __init__(
        self,
        database: Database,
        kinds: Iterable[Kind],
        options: DurableOptions,
        on_end: OnEnd = lambda kind, outcome, seconds: None,
    ) -> None:
        self.workers = Workers(database, options.worker, options.silent_seconds)
        self.leases = Leases(database, options.worker)
        self.options = options
        self._database = database
        self._kinds = {kind.name: kind for kind in kinds}
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._on_end = on_end
        self._orders: Orders | None = None

    @property
    def orders(self) -> Orders:
        """What is to be done; there from `start` on."""
        if self._orders is None:
            raise StoreError("the jobs have not been started")
        return self._orders

    async def start(self) -> None:
        """Begin to do what waits. To be called on the event loop that the work runs on."""
        await asyncio.to_thread(self._database.create)
        await asyncio.to_thread(self.workers.enter)
        self._orders = await asyncio.to_thread(Orders, self._database)
        _log_through_structlog()
        DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": self._database.url.render_as_string(hide_password=False),
                "system_database_engine": self._database.engine,
                "application_version": STEPS_VERSION,
                "executor_id": self.options.worker,
                "serializer": DBOSPortableJSONSerializer(),
                "use_listen_notify": False,
                "notification_listener_polling_interval_sec": 0.1,  # nobody listens; stopping waits for it
            }
        )
        for kind in self._kinds.values():
            DBOS.workflow(name=kind.name, max_recovery_attempts=_ATTEMPTS)(self._workflow(kind))
        DBOS.workflow(name=REPORTS, max_recovery_attempts=_ATTEMPTS)(self._reporting())
        with self._database.explained():
            DBOS.launch()  # takes the running loop for the work; another thread would give it one of its own
        for kind in self._kinds.values():
            await DBOS.register_queue_async(
                kind.name,
                worker_concurrency=kind.at_once,
                partition_concurrency=1 if kind.one_by_one else None,
                polling_interval_sec=kind.poll_seconds,
                on_conflict="always_update",
            )
        await DBOS.register_queue_async(REPORTS, worker_concurrency=1)

    async def stop(self) -> None:
        """Let what runs finish for a while; the rest goes on after the next start, or elsewhere."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=self.options.finish_seconds)
        left = tuple(self._running.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.to_thread(DBOS.destroy, destroy_registry=True)
        # DBOS had its own pool of threads serve this loop, and has just closed it.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
        if self._orders is not None:
            self._orders.close()
        with suppress(StoreError):
            await asyncio.to_thread(self.workers.leave)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of what is done here."""
        return tuple(self._kinds)

    def lost(self, running: dict[str, str]) -> list[str]:
        """Return what is this worker's, of what is said to run, and does not run."""
        mine = (work_id for work_id, worker in running.items() if worker == self.options.worker)
        return [work_id for work_id in mine if work_id not in self._running]

    def take_over(self, worker: str) -> None:
        """Do again what a dead worker had begun. Blocks.

        The public `resume_workflow` would not do: it forgets how often the work was tried, and takes it
        from whoever has taken it over already.
        """
        with self._database.explained():
            DBOS._recover_pending_workflows([worker])

    def is_open(self, work_id: str) -> bool:
        """Whether work is wanted, and this worker's to do. Blocks."""
        if not self.workers.alive:
            self.workers.beat()  # from here on, nobody takes anything away from this worker
        return self.orders.is_running(work_id, self.options.worker)

    def _workflow(self, kind: Kind) -> Callable[[dict[str, Any]], Awaitable[str]]:
        async def workflow(payload: dict[str, Any]) -> str:
            work = _Work(self, payload)
            started = time.monotonic()
            outcome = "given_up"
            with self._tracked(work.id):
                try:
                    outcome = await self._do(kind, work)
                finally:
                    self._on_end(kind.name, outcome, time.monotonic() - started)
            return outcome

        return workflow

    async def _do(self, kind: Kind, work: _Work) -> str:
        try:
            async with self._holding(kind, work):
                failure = await self._attempt(kind, work)
                if failure is None:
                    return "done"
                _log.error("work.failed", kind=kind.name, id=work.id, failure=failure.kind)
                await kind.failed(work, failure)
                return failure.kind
        except Superseded as error:
            raise dbos_error.DBOSWorkflowCancelledError(str(error)) from error
        except Exception:
            _log.exception("work.not_told", kind=kind.name, id=work.id)
            raise

    async def _attempt(self, kind: Kind, work: _Work) -> Failure | None:
        try:
            await kind.run(work)
        except StepFailed as failed:
            return failed.failure
        except (Superseded, dbos_error.DBOSException):
            raise
        except Exception as error:  # noqa: BLE001 - the outermost loop of a piece of work
            _log.exception("work.broke", kind=kind.name, id=work.id)
            return Failure.of(error)
        return None

    def _reporting(self) -> Callable[[dict[str, Any]], Awaitable[str]]:
        """Tells people about work that nobody can do, because it ends each process that tries."""

        async def report(payload: dict[str, Any]) -> str:
            work = _Work(self, payload["payload"])
            await self._kinds[payload["kind"]].failed(work, Failure(FailureKind.CRASH))
            return FailureKind.CRASH

        return report

    @contextmanager
    def _tracked(self, work_id: str) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._running[work_id] = task
        try:
            yield
        finally:
            # Work that was taken away and came back may run once more already.
            if self._running.get(work_id) is task:
                del self._running[work_id]

    @asynccontextmanager
    async def _holding(self, kind: Kind, work: _Work) -> AsyncIterator[None]:
        """Hold the leases of `work` while inside; what was superseded may still be on its way out."""
        work.leases = kind.leases(work.payload)
        async with AsyncExitStack() as held:
            for lease in work.leases:
                held.push_async_callback(insist, self.leases.release, lease, work.holder)
                pause = _LEASE_PAUSE
                while not await insist(self.leases.take, lease, work.holder):
                    if not await insist(self.is_open, work.id):
                        raise Superseded("a newer request took the place of this one")
                    await asyncio.sleep(pause)
                    pause = min(1.3 * pause, _LONGEST_LEASE_PAUSE)  # a training may take hours
            yield


async def insist(act: Callable[..., _T], *arguments: object) -> _T:
    """Return what `act` gives; a database that cannot be used now is waited for."""
    while True:
        try:
            return await asyncio.to_thread(act, *arguments)
        except StoreError as error:
            _log.warning("database.waited_for", reason=str(error))
            await asyncio.sleep(_DATABASE_PAUSE)


class _Work:
    """The work that the current task does; see `bot.work.Work`."""

    def __init__(self, durable: Durable, payload: Payload) -> None:
        self.id = str(DBOS.workflow_id)
        # Should the same work be begun twice, one waits until the other has let go.
        self.holder = f"{self.id}#{uuid.uuid4().hex[:8]}"
        self.payload = payload
        self.leases: tuple[Lease, ...] = ()
        self._durable = durable

    async def step(
        self,
        name: str,
        act: Callable[[], Awaitable[_T]],
        *,
        seconds: float | None = None,
        abort: bool = False,
    ) -> _T:
        """Return what `act` gives, now or when it was done before."""

        async def attempt() -> dict[str, Any]:
            try:
                async with asyncio.timeout(seconds):
                    return {"value": await patiently(act, self._durable.options.retry_seconds)}
            except Superseded as error:
                # Says nothing about the step: whoever does it next must find it undone.
                raise dbos_error.DBOSWorkflowCancelledError(str(error)) from error
            except Exception as error:  # noqa: BLE001 - kept as a value, as classes do not survive in JSON
                _log.warning("step.failed", step=name, id=self.id, exc_info=True)
                return {"failure": asdict(Failure.of(error))}

        outcome = await DBOS.run_step_async({"name": name, "preemptible": abort}, attempt)
        if failure := outcome.get("failure"):
            raise StepFailed(Failure(FailureKind(failure["kind"]), failure["text"]))
        value: _T = outcome["value"]
        return value

    async def still_current(self) -> bool:
        """Whether the work is still wanted, and this worker's to do."""
        return await asyncio.to_thread(self._is_current)

    def _is_current(self) -> bool:
        durable = self._durable
        return durable.is_open(self.id) and all(
            durable.leases.holds(each, self.holder) for each in self.leases
        )


class _ToStructlog(logging.Handler):
    """Passes on what DBOS logs, without the texts of errors: these may quote what is under review.

    To DBOS work that was superseded is an error. What is one to us is logged here.
    """

    def emit(self, record: logging.LogRecord) -> None:
        _log.warning("dbos", level_there=record.levelname, place=f"{record.module}:{record.lineno}")


def _log_through_structlog() -> None:
    logger = logging.getLogger("dbos")
    logger.handlers[:] = [_ToStructlog(logging.WARNING)]
    logger.propagate = False
