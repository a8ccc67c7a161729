"""What GitLab does to the text of a note first: quick actions are run and cut out. Pure.

More is taken for a quick action here than GitLab itself would run: what passes here is safe there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = """
add_child add_contacts add_email allow_collaboration approve assign assign_reviewer assign_to_me
award blocked_by blocks board_move cc checkin_reminder child clear_health_status clear_weight clone
close confidential convert_to_ticket copy_metadata create_merge_request done draft due duplicate
epic estimate estimate_time health_status invite_email iteration label labels link lock merge
milestone move page parent_epic parent promote promote_to promote_to_incident publish react ready
reassign reassign_reviewer rebase relabel relate remove_child remove_child_epic remove_contacts
remove_due_date remove_email remove_epic remove_estimate remove_iteration remove_label remove_link
remove_milestone remove_parent remove_parent_epic remove_reviewer remove_time_spent remove_zoom
reopen request_changes request_review reviewer set_parent severity ship shrug spend spend_time spent
status submit_review subscribe tableflip tag target_branch timeline title todo type unapprove
unassign unassign_reviewer unlabel unlink unlock unrelate unsubscribe weight zoom
"""
NAMES = frozenset(_WORDS.split())

_FENCED = re.compile(r"^```[^\n]*\n.*?^```$", re.MULTILINE | re.DOTALL)
_ACTION = re.compile(r"^/([a-z_]+)(?: ([^\n]*))?$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Action:
    """A quick action that was run."""

    name: str
    arguments: str


def extract(body: str) -> tuple[str, tuple[Action, ...]]:
    """Return what is left of a note's text, and the actions in it."""
    text = body.replace("\r", "")
    parts, actions, end = list[str](), list[Action](), 0
    for block in _FENCED.finditer(text):
        parts += [_cut(text[end : block.start()], actions), block.group()]
        end = block.end()
    parts.append(_cut(text[end:], actions))
    return "".join(parts).rstrip(), tuple(actions)


def _cut(text: str, actions: list[Action]) -> str:
    def keep(match: re.Match[str]) -> str:
        name = match[1].lower()
        if name not in NAMES:
            return match.group()
        actions.append(Action(name, (match[2] or "").strip()))
        return "\0"

    return re.sub("\0\n?", "", _ACTION.sub(keep, text))
