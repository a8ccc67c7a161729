"""Merge requests that GitLab tells of before it shows them: a replica of its database may be behind."""

from __future__ import annotations

import time

from bot.errands import Errand
from bot.errors import GitLabUnavailable, NotFound
from bot.gitlab import GitLab, MergeRequest

LAG_SECONDS = 30.0
"""What is not shown for longer is gone."""


async def merge_request_of(errand: Errand, gitlab: GitLab) -> MergeRequest | None:
    """Return an errand's merge request, or None where it is gone.

    Raises GitLabUnavailable, so that it is asked for again, where GitLab has told of it only just now.
    """
    try:
        return await gitlab.merge_request(errand.ref)
    except NotFound as error:
        if time.time() - errand.received / 1000 < LAG_SECONDS:
            raise GitLabUnavailable("GitLab does not show the merge request yet") from error
        return None
