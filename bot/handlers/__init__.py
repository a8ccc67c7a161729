"""What the bot does, one behaviour a module."""
