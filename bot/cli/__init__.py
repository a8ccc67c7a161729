"""The subcommands of `tenken-bot`, one module each."""
