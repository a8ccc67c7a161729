"""The HTTP API, a module for each resource; `engine.server` puts them together."""
