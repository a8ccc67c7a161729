"""A benchmark out of a project's own history: made once, run again whenever there is a new model."""
