"""The merge request bot: GitLab events in, discussions out. Not in this version yet."""
