"""The history of a project that is worth a training: flaws that were remarked on, and sound code beside."""

from __future__ import annotations

import requests
from fast_training import FLAW
from history_world import BASE, World

from bot.fake_gitlab import StoredMergeRequest

FILE = "shop/cart.py"


def add_merge_requests(w: World, count: int = 12) -> None:
    """Add merge requests that were merged, each with a remark on its flaw and a hunk without one."""
    first = len(w.project.merge_requests)
    for number in range(first, first + count):
        flawed = [f"a{number}_{row} = {row}" for row in range(5)]
        flawed[2] = f"{FLAW}_{number} = open_file({number})"
        sound = [f"b{number}_{row} = load({number}, {row})" for row in range(6)]
        cart = BASE[FILE].replace("item_3 = 3\n", "\n".join(flawed) + "\n")
        cart = cart.replace("item_20 = 20\n", "\n".join(sound) + "\n")
        mr = w.open_mr({**BASE, FILE: cart})
        w.say(mr, f"Close handle {number} when it is done with.", FILE, new_line=5)
        mr.state = "merged"


def say_note(w: World, mr: StoredMergeRequest, text: str) -> None:
    """Have the maintainer write a note, as a browser would: hooks are told."""
    url = f"{w.fake.url}/api/v4/projects/{w.project.id}/merge_requests/{mr.iid}/notes"
    answer = requests.post(
        url, json={"body": text}, headers={"PRIVATE-TOKEN": w.maintainer.token}, timeout=60
    )
    answer.raise_for_status()
