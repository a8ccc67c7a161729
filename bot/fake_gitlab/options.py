"""How a fake server differs from the newest one, and where its parts find each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import web

from bot.fake_gitlab.faults import Fault
from bot.fake_gitlab.webhooks import Webhooks


@dataclass(slots=True)
class Options:
    """May be changed at any time."""

    version: str = "18.4.0"
    newest_diff_fields: bool = True  # collapsed and too_large, since 18.4
    file_positions: bool = True  # position_type file, since 16.4
    half_publishes: int = 0  # so often publishing makes the notes, fails, and leaves the drafts there
    duplicate_packages: bool = True  # a file of a package may be uploaded again
    largest_package_file: int = 2**26
    object_storage: str = ""  # address of the server that hands out packages; "" for this one
    faults: list[Fault] = field(default_factory=list)


OPTIONS = web.AppKey("options", Options)
WEBHOOKS = web.AppKey("webhooks", Webhooks)
