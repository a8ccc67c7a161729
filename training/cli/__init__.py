"""The subcommands of `tenken-train`, one module each: `register` adds its parser, `run` does the work."""
