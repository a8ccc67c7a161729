"""`tenken-bot demo`: try the whole loop in a browser, without a GitLab."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal

from bot.cli.serve import port_number
from engine.errors import InputError
from engine.exits import ExitCode
from engine.logs import log_json
from engine.wire import Language

PORT = 8770


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "demo",
        help="try it in a browser, without a GitLab",
        description="Shows a merge request of a fake GitLab in a page on this machine, with the real bot and "
        "the real model behind it. Type /review there. Everything is gone when it ends.",
    )
    parser.add_argument(
        "--port", type=port_number, default=PORT, help=f"{PORT} if not given; 0 takes a free one"
    )
    parser.add_argument(
        "--lang", choices=[each.value for each in Language], default=Language.EN.value, help="en if not given"
    )
    parser.add_argument(
        "--engine", default="", metavar="URL", help="an engine that runs already, without tokens"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Show the demo until Ctrl-C."""
    log_json(logging.WARNING)
    try:
        asyncio.run(_show(arguments))
    except OSError as error:
        raise InputError(f"cannot listen on port {arguments.port}: {error.strerror or error}") from error
    return ExitCode.OK


async def _show(arguments: argparse.Namespace) -> None:
    from bot.demo.run import demo

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with demo(arguments.port, Language(arguments.lang), arguments.engine) as url:
        print(f"tenken-bot: open {url} and type /review", flush=True)
        await stop.wait()
