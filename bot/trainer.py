"""`tenken-train retrain` as a process of its own, and its directories. The bot imports nothing of it.

It gets neither the bot's settings nor its secrets in its environment: two tokens, each for what it has to
do, are in files that go when it has ended. Should the bot end, the kernel ends it too; begun again in the
same directory it goes on where it was.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from bot.children import END_WITH_PARENT, own_environment, stop
from bot.retrain_jobs import RetrainJob
from engine.errors import EngineError, InputError, RunnerError
from engine.retraining import RunState, RunStatus, Stage, read_status

RUNS, HISTORY, LOG = "runs", "history", "trainer.log"
_SECRETS = "secrets-"
_KEPT_RUNS = 3
_RESUMED_DAYS = 7  # an older one that was not finished is begun anew, on newer data
_DEATHS = 10  # without getting any further
_STOP_SECONDS = 30.0
_PAUSE = 1.0
_USAGE, _ENGINE = 2, 3  # exit codes
_log = structlog.get_logger()

OnStatus = Callable[[RunStatus], Awaitable[None]]
"""Hears how far it is, now and then."""


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """How the trainer is started."""

    folder: Path  # of all projects
    gitlab_url: str
    gitlab_token: str = field(repr=False)
    engine_url: str = ""
    engine_token: str = field(default="", repr=False)  # role admin, to promote
    gitlab_ca_file: Path | None = None
    engine_ca_file: Path | None = None
    settings: Path | None = None
    min_new: int | None = None
    command: tuple[str, ...] = (sys.executable, "-m", "training", "retrain")
    poll_seconds: float = 0.5


class Trainer:
    """Runs it, and knows its directories."""

    def __init__(self, options: TrainerOptions) -> None:
        self._options = options

    def choose(self, job: RetrainJob) -> str:
        """Return the name of the run that a job begins, or goes on with; old ones are removed. Blocks."""
        runs = self._newest_first(job.project_id)
        for run, _ in runs[_KEPT_RUNS:]:
            shutil.rmtree(run, ignore_errors=True)
        for run, status in () if job.dry_run else runs[:1]:
            if _is_worth_resuming(run, status):
                return run.name
        return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{job.short[:8]}"

    def run_of(self, job: RetrainJob) -> Path:
        """Return the directory of a job's run."""
        return self._project(job.project_id) / RUNS / job.run

    def latest(self, project_id: int) -> RunStatus | None:
        """Return how far the newest run of a project is, None where there never was one here. Blocks."""
        runs = self._newest_first(project_id)
        return runs[0][1] if runs else None

    async def follow(self, job: RetrainJob, on_status: OnStatus, *, dry_run: bool) -> RunStatus:
        """Return the last status. One that dies is begun again; cancelled, it is told to end, and waited for.

        Raises InputError or EngineError for what it cannot do.
        """
        run = self.run_of(job)
        await asyncio.to_thread(run.mkdir, parents=True, exist_ok=True, mode=0o700)
        deaths, furthest = 0, -1
        while True:
            code = await self._once(job, run, on_status, dry_run=dry_run)
            status = await asyncio.to_thread(read_status, run)
            if code == 0 and status is not None and status.state is RunState.DONE:
                return status
            _raise_for(code, status)
            reached = _reached(status)
            deaths, furthest = (0, reached) if reached > furthest else (deaths + 1, furthest)
            _log.warning("trainer.died", project=job.project, run=job.run, code=code, again=deaths < _DEATHS)
            if deaths >= _DEATHS:
                raise RunnerError("the trainer ended again and again; its log says why")
            await asyncio.sleep(_PAUSE)

    async def _once(self, job: RetrainJob, run: Path, on_status: OnStatus, *, dry_run: bool) -> int:
        project = self._project(job.project_id)
        await asyncio.to_thread(_sweep, project)
        with tempfile.TemporaryDirectory(prefix=_SECRETS, dir=project) as secrets:
            command = self._command(job, run, Path(secrets), dry_run=dry_run)
            with (run / LOG).open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=own_environment(),
                    preexec_fn=END_WITH_PARENT,
                )
            _log.info("trainer.started", project=job.project, run=job.run, process=process.pid)
            try:
                return await self._watched(process, run, on_status)
            finally:
                await stop(process, _STOP_SECONDS)

    async def _watched(self, process: asyncio.subprocess.Process, run: Path, on_status: OnStatus) -> int:
        ended = asyncio.create_task(process.wait())
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=self._options.poll_seconds)
                status = await asyncio.to_thread(read_status, run)
                if status is not None and not ended.done():
                    await on_status(status)
            return ended.result()
        finally:
            ended.cancel()

    def _command(self, job: RetrainJob, run: Path, secrets: Path, *, dry_run: bool) -> list[str]:
        options = self._options
        command = [*options.command, "--url", options.gitlab_url, "--project", str(job.project_id)]
        command += ["--out", str(run), "--history", str(self._project(job.project_id) / HISTORY)]
        command += ["--token-file", str(_secret(secrets / "gitlab", options.gitlab_token))]
        if options.engine_url:
            command += ["--engine", options.engine_url]
            command += ["--engine-token-file", str(_secret(secrets / "engine", options.engine_token))]
        for name, value in (
            ("--ca-file", options.gitlab_ca_file),
            ("--engine-ca-file", options.engine_ca_file),
            ("--settings", options.settings),
            ("--min-new", options.min_new),
        ):
            command += [name, str(value)] if value is not None else []
        return [*command, "--dry-run"] if dry_run else command

    def _newest_first(self, project_id: int) -> list[tuple[Path, RunStatus]]:
        found = [
            (run, status)
            for run in (self._project(project_id) / RUNS).glob("*")
            if (status := read_status(run)) is not None
        ]
        return sorted(found, key=lambda each: each[1].updated, reverse=True)

    def _project(self, project_id: int) -> Path:
        return self._options.folder / str(project_id)


def _is_worth_resuming(run: Path, status: RunStatus) -> bool:
    """Whether hours of work would be lost if it were begun anew."""
    fresh = datetime.now(UTC) - status.started < timedelta(days=_RESUMED_DAYS)
    return fresh and (run / Stage.TRAIN).exists() and not status.is_finished


def _reached(status: RunStatus | None) -> int:
    return list(Stage).index(status.stage) if status is not None else -1


def _raise_for(code: int, status: RunStatus | None) -> None:
    text = status.error if status is not None and status.state is RunState.FAILED else ""
    if code == _USAGE:
        raise InputError(text or "the trainer cannot use what it was given; its log says why")
    if code == _ENGINE:
        raise EngineError(text or "the trainer cannot work; its log says why")


def _secret(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def _sweep(project: Path) -> None:
    """Remove what a bot that was killed could not."""
    for left in project.glob(f"{_SECRETS}*"):
        shutil.rmtree(left, ignore_errors=True)
