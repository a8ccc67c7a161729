"""The page that shows what the bot does and has learned. It changes nothing."""
