"""The language server: findings as diagnostics, before the push."""
