"""`tenken-bot serve`: listen for webhooks and do what they ask for."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal

import structlog

from bot.settings import BotSettings, load_settings
from engine.errors import InputError
from engine.exits import ExitCode
from engine.logs import log_json

PORT = 8760
_log = structlog.get_logger()


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "serve",
        help="listen for webhooks and review",
        description="Runs the bot until SIGTERM or Ctrl-C. Its settings are the variables BOT_...; webhooks "
        "go to POST /webhook. TLS is for the proxy in front of it.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 127.0.0.1 if not given")
    parser.add_argument(
        "--port", type=port_number, default=PORT, help=f"{PORT} if not given; 0 takes a free one"
    )
    parser.set_defaults(run=run)


def port_number(text: str) -> int:
    """Return a port; raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: they go from 0 to 65535")
    return int(text)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Serve until told to stop; what runs then goes on after the next start."""
    settings = load_settings()
    log_json()
    try:
        asyncio.run(_serve(settings, arguments.host, arguments.port))
    except OSError as error:
        where = f"{arguments.host}:{arguments.port}"
        raise InputError(f"cannot listen on {where}: {error.strerror or error}") from error
    return ExitCode.OK


async def _serve(settings: BotSettings, host: str, port: int) -> None:
    from bot.app import running
    from engine.listening import listening

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with running(settings, stop) as bot, listening(bot.app, host, port) as at:
            # What is there by now stays: to look through all of it for garbage stops everything for 0.1 s.
            gc.collect()
            gc.freeze()
            print(f"tenken-bot: listening on http://{host}:{at}", flush=True)
            await stop.wait()
            _log.info("bot.stopping")
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
