"""A project's review history in, a measured adapter out. Stages are functions from files to files."""
