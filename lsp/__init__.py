"""The language server: findings as diagnostics. Not in this version yet."""
