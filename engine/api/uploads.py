"""An adapter that comes as a form: a fixed list of files, no archive, each with its limit."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from filelock import FileLock, Timeout

from engine.adapter_checks import MAX_BYTES
from engine.adapters import FILES, MANIFEST
from engine.api.problems import Problem, ProblemKind
from engine.signing import signature_of

SIGNATURE = "signature"
PARTS = {**dict.fromkeys((MANIFEST, *FILES), True), SIGNATURE: False}
"""The parts of the form, by their names -> whether they have to be there."""

_PREFIX, _LOCK = ".upload-", ".lock"
_MAX_SIGNATURE = 2**20
_CHUNK = 2**18


@asynccontextmanager
async def received(request: web.Request, data: Path) -> AsyncIterator[Path]:
    """Give a directory with the files of the form, gone afterwards. Raises Problem 400, 413, 415 or 422."""
    if request.content_type != "multipart/form-data":
        raise Problem(ProblemKind.UNSUPPORTED_MEDIA_TYPE, "multipart/form-data")
    with _scratch(data) as scratch:
        directory = scratch / "adapter"
        directory.mkdir()
        try:
            await _receive(request, directory)
        except (ValueError, EOFError, AssertionError, HttpProcessingError, web.RequestPayloadError) as error:
            raise Problem(ProblemKind.BAD_REQUEST, "the form cannot be read") from error
        yield directory


def sweep_uploads(data: Path) -> None:
    """Remove what killed processes left of uploads below `data`; those that go on are left alone."""
    for name in {path.name.removesuffix(_LOCK) for path in data.glob(f"{_PREFIX}*")}:
        lock = data / f"{name}{_LOCK}"
        with suppress(Timeout), FileLock(lock, timeout=0):
            shutil.rmtree(data / name, ignore_errors=True)
            lock.unlink()


@contextmanager
def _scratch(data: Path) -> Iterator[Path]:
    """Give a new directory, locked while inside. A process that is killed leaves it, and its lock open."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = data / f"{_PREFIX}{secrets.token_hex(8)}"
    lock = scratch.with_name(f"{scratch.name}{_LOCK}")
    with FileLock(lock):
        try:
            scratch.mkdir(mode=0o700)
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            lock.unlink()


async def _receive(request: web.Request, directory: Path) -> None:
    seen = set()
    async for part in await request.multipart():
        name = part.name if isinstance(part, BodyPartReader) else None
        if not isinstance(part, BodyPartReader) or name not in PARTS or name in seen:
            raise Problem(ProblemKind.INVALID_ADAPTER, f"the parts are {', '.join(PARTS)}, each once")
        seen.add(name)
        await _save(part, name, directory)
    if missing := [name for name, required in PARTS.items() if required and name not in seen]:
        raise Problem(ProblemKind.INVALID_ADAPTER, f"missing: {', '.join(missing)}")


async def _save(part: BodyPartReader, name: str, directory: Path) -> None:
    target = signature_of(directory) if name == SIGNATURE else directory / name
    limit, size = MAX_BYTES.get(name, _MAX_SIGNATURE), 0
    with await asyncio.to_thread(target.open, "xb") as file:
        while chunk := await part.read_chunk(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise Problem(ProblemKind.BODY_TOO_LARGE, f"{name}: at most {limit} bytes")
            await asyncio.to_thread(file.write, chunk)
