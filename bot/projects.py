"""What a project has set for its reviews: `.tenken.toml`, always that of the target branch."""

from __future__ import annotations

from typing import Protocol

from bot.errors import GitLabRefused, NotFound
from bot.gitlab import GitLab, MergeRequest
from engine.config import CONFIG_NAME, ProjectConfig, parse_config
from engine.errors import ConfigError

_MAX_BYTES = 65_536


class Projects(Protocol):
    """Knows the settings of projects."""

    async def config(self, project_id: int, branch: str) -> ProjectConfig:
        """Return the settings on a branch; raises ConfigError naming key and line."""


def project_key(name: str) -> int | str:
    """Return a project as it was named: its id, or its path."""
    return int(name) if name.isascii() and name.isdigit() else name


async def settings_for(mr: MergeRequest, projects: Projects) -> ProjectConfig:
    """Return what a project has set, or the defaults where its file is broken: a review reports that."""
    try:
        return await projects.config(mr.project_id, mr.target_branch)
    except ConfigError:
        return ProjectConfig()


class GitLabProjects:
    """Reads the settings from the repository each time: they are small, and may change with any push.

    The branch is the target of a merge request, never its source: the author of a change must not choose
    how it is reviewed.
    """

    def __init__(self, gitlab: GitLab) -> None:
        self._gitlab = gitlab

    async def config(self, project_id: int, branch: str) -> ProjectConfig:
        """Return the settings on a branch; raises ConfigError naming key and line."""
        try:
            data = await self._gitlab.raw_file(project_id, CONFIG_NAME, branch, _MAX_BYTES)
        except NotFound:
            return ProjectConfig()
        except GitLabRefused as error:
            if error.status != 413:
                raise
            raise ConfigError(f"{CONFIG_NAME}: more than {_MAX_BYTES} bytes") from error
        return parse_config(data)
