"""One module a revision. What stands in one is never changed again."""
