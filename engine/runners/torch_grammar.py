"""A JSON schema as a transformers logits processor: one matcher a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from engine.runners.grammars import Grammars


class GrammarProcessor:
    """Masks every token that cannot continue its row's JSON. For one call of `generate` only."""

    def __init__(self, grammars: Grammars, matchers: Sequence[Any], mask: Any) -> None:
        self._grammars = grammars
        self._matchers = matchers
        self._mask = mask
        self._started = False

    @classmethod
    def compile(cls, grammars: Grammars, vocab_size: int, schemas: Sequence[dict[str, object]]) -> Self:
        """Return a processor with one matcher for each schema, in the order of the batch's rows."""
        import torch

        matchers = [grammars.matcher(schema) for schema in schemas]
        return cls(grammars, matchers, torch.zeros(len(matchers), -(-vocab_size // 32), dtype=torch.int32))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return `scores` with the tokens that the grammars refuse at minus infinity."""
        if self._started:
            self._consume(input_ids[:, -1].tolist())
        self._started = True
        return scores.masked_fill(~self._allowed(scores), float("-inf"))

    def _consume(self, tokens: Sequence[int]) -> None:
        for matcher, token in zip(self._matchers, tokens, strict=True):
            # A row that ended goes on receiving pad tokens until the whole batch is done.
            if not matcher.is_stopped():
                matcher.consume_token(token)

    def _allowed(self, scores: Any) -> Any:
        import torch

        self._grammars.fill(self._matchers, self._mask)
        bits = (self._mask.unsqueeze(-1) >> torch.arange(32, dtype=torch.int32)) & 1
        return bits.bool().flatten(1)[:, : scores.shape[-1]].to(scores.device)
