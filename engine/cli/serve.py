"""`tenken serve`: the engine as a service."""

from __future__ import annotations

import argparse
import asyncio
import functools
import ipaddress
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.command import Command, Surroundings
from engine.errors import ConfigError, InputError, unimportable
from engine.exits import ExitCode
from engine.logs import log_json
from engine.opening import base_sha256_of, batch_limits, choose_adapter, resident_adapters
from engine.settings import EngineSettings, load_settings
from engine.store.opening import Store, open_store
from engine.tokens import TokenFile

if TYPE_CHECKING:
    from engine.server import ServerOptions

_PORT = 8750


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tenken serve` understands."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 127.0.0.1 if not given")
    parser.add_argument("--port", type=int, default=_PORT, help=f"{_PORT} if not given; 0 takes a free one")
    parser.add_argument(
        "--tokens", type=Path, metavar="FILE", help="who may call, made by `tenken token create`"
    )
    parser.add_argument("--adapter", metavar="DIR|none", help="another adapter, or the base model alone")
    parser.add_argument(
        "--drain", type=float, default=30, metavar="SECONDS", help="time for open reviews when stopped"
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate, PEM: speak HTTPS")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key, PEM")


def run(arguments: argparse.Namespace, around: Surroundings) -> ExitCode:
    """Serve until SIGTERM or Ctrl-C; then finish what is open."""
    _require_tokens(arguments)
    settings = load_settings()
    tokens = TokenFile(arguments.tokens) if arguments.tokens else None
    if tokens is not None and not tokens.records:
        raise ConfigError(f"{arguments.tokens}: no tokens; run: tenken token create --tokens FILE")
    try:
        from engine.api import adapters, feedback
        from engine.api.uploads import sweep_uploads
        from engine.server import make_engine, serve
        from engine.store.projects import StoredProjects
    except ImportError as missing:
        raise unimportable(missing, "aiohttp", "serve") from missing
    log_json()
    default = choose_adapter(arguments.adapter, settings)
    options = _options(arguments, settings)

    async def main(store: Store) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        sweep_uploads(store.registry.data)
        load = functools.partial(around.open_runner, settings)
        routes = (
            *adapters.routes(store.registry, base_sha256_of(settings)),
            *feedback.routes(store.feedback),
        )
        projects = StoredProjects(store, default)
        engine = make_engine(load, default, options, projects=projects, tokens=tokens, more_routes=routes)
        await serve(engine, options, stop, _tell)

    try:
        with open_store(settings) as store:
            asyncio.run(main(store))
    except OSError as error:
        raise InputError(
            f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror or error}"
        ) from error
    return ExitCode.OK


COMMAND = Command("serve", "Review for others: the engine as an HTTP service.", add_arguments, run)


def _tell(url: str) -> None:
    print(f"tenken: listening on {url}", flush=True)


def _require_tokens(arguments: argparse.Namespace) -> None:
    if arguments.tokens is None and not _is_loopback(arguments.host):
        raise ConfigError(
            f"--host {arguments.host}: others can reach this address, so --tokens FILE is needed"
        )
    if (arguments.tls_cert is None) != (arguments.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key belong together")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _options(arguments: argparse.Namespace, settings: EngineSettings) -> ServerOptions:
    from engine.api.admission import ReviewLimits
    from engine.server import ServerOptions, tls_context

    limits = ReviewLimits(
        open_reviews=settings.open_reviews,
        open_per_token=settings.open_per_token,
        files=settings.max_files,
        seconds=settings.review_seconds,
        context=settings.context,
    )
    return ServerOptions(
        host=arguments.host,
        port=arguments.port,
        limits=limits,
        batches=batch_limits(settings),
        residents=resident_adapters(settings),
        max_body=settings.max_body_mib * 2**20,
        drain_seconds=arguments.drain,
        tls=tls_context(arguments.tls_cert, arguments.tls_key) if arguments.tls_cert else None,
    )
