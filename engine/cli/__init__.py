"""The commands of `tenken`, one module each."""
