"""More supervised data out of a project's own history, each kind by wish: prose, code, made-up flaws."""
