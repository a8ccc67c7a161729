"""A JSON schema as a transformers logits processor, by llguidance: one matcher a row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Self

from engine.errors import MissingExtra, RunnerError


class GrammarProcessor:
    """Masks every token that cannot continue its row's JSON. For one call of `generate` only."""

    def __init__(self, matchers: Sequence[Any], mask: Any) -> None:
        self._matchers = matchers
        self._mask = mask
        self._started = False

    @classmethod
    def compile(cls, tokenizer: Any, vocab_size: int, schemas: Sequence[dict[str, object]]) -> Self:
        """Return a processor with one matcher for each schema, in the order of the batch's rows."""
        try:
            import llguidance.hf
            import llguidance.torch
        except ImportError as error:
            raise MissingExtra("llguidance", "cpu") from error
        vocabulary = llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocab_size)
        grammar = llguidance.LLMatcher.grammar_from_json_schema
        matchers = [llguidance.LLMatcher(vocabulary, grammar(json.dumps(schema))) for schema in schemas]
        for matcher in matchers:
            if matcher.is_error():
                raise RunnerError(f"the reply's schema does not compile: {matcher.get_error()}")
        return cls(matchers, llguidance.torch.allocate_token_bitmask(len(matchers), vocabulary.vocab_size))

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
        from llguidance.torch import fill_next_token_bitmask

        for row, matcher in enumerate(self._matchers):
            fill_next_token_bitmask(matcher, self._mask, row)
        # llguidance's own apply function compiles C++ on its first call; this is two tensor operations.
        bits = (self._mask.unsqueeze(-1) >> torch.arange(32, dtype=torch.int32)) & 1
        return bits.bool().view(len(self._matchers), -1)[:, : scores.shape[-1]].to(scores.device)
