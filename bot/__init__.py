"""The merge request bot: GitLab events in, discussions out."""
