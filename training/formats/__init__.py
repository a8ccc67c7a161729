"""Other tools' data formats in and out: Alpaca, ShareGPT, messages, prompt/completion. See `dialects`."""
