"""From a project's history to labelled items: collect, redact, curate, label, split. Files to files."""
