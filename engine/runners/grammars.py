"""JSON schemas as token masks, by llguidance: which tokens may come next in a reply."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from engine.cpus import available_cpus
from engine.errors import RunnerError, unimportable

_PARALLEL_ROWS = 4
_MOST_THREADS = 8
_REMEMBERED = 64


class Grammars:
    """Compiles each schema once for a vocabulary, and fills masks for many replies at once.

    `ends` are the tokens of which one ends a reply.
    """

    def __init__(self, tokenizer_json: str, vocab: int, ends: Collection[int]) -> None:
        try:
            import llguidance
        except ImportError as missing:
            raise unimportable(missing, "llguidance", "gpu") from missing
        self._library: Any = llguidance
        self._vocabulary = llguidance.LLTokenizer(tokenizer_json, n_vocab=vocab, eos_token=sorted(ends))
        self._compiled: dict[str, Any] = {}
        threads = min(_MOST_THREADS, available_cpus())
        self._executor = llguidance.LLExecutor(num_threads=threads)

    def matcher(self, schema: dict[str, object]) -> Any:
        """Return a matcher at the start of a reply; raises RunnerError for a schema that does not compile."""
        text = json.dumps(schema)
        if (compiled := self._compiled.get(text)) is None:
            matcher = self._library.LLMatcher
            compiled = matcher(self._vocabulary, matcher.grammar_from_json_schema(text))
            if compiled.is_error():
                raise RunnerError(f"the reply's schema does not compile: {compiled.get_error()}")
            if len(self._compiled) >= _REMEMBERED:
                self._compiled.clear()
            self._compiled[text] = compiled
        return compiled.deep_copy()

    def fill(self, matchers: Sequence[Any], masks: Any) -> None:
        """Set the first rows of `masks`, an int32 tensor on the host, to what each matcher allows."""
        width = masks.shape[1] * masks.element_size()
        if len(matchers) >= _PARALLEL_ROWS:
            rows = [(matcher, row) for row, matcher in enumerate(matchers)]
            self._executor.unsafe_compute_mask_ptr(rows, masks.data_ptr(), width, masks.shape[0])
            return
        for row, matcher in enumerate(matchers):
            matcher.unsafe_compute_mask_ptr(masks.data_ptr() + row * width, width)
