"""The `torch` runner: Gemma 3 on one GPU, by the passes of `engine.runners.gemma`.

Runners of different adapters share one loaded model; each holds a slot of its LoRA stacks. Other models
than Gemma 3, and adapters that are no plain LoRA, are `torch_reference`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from engine.errors import RunnerError
from engine.probes import PROBE, Probe, prove_effect
from engine.prompts import LABELS
from engine.runners import (
    Cancellation,
    Likelihood,
    LikelihoodRequest,
    Reply,
    Runner,
    ScoreRequest,
    Scores,
    WriteRequest,
)
from engine.runners.gemma.loaded import LoadedGemma, Prompt
from engine.runners.gemma.writing import Wanted
from engine.runners.spans import asked_tokens

_GUIDANCE = {"x-guidance": {"whitespace_flexible": False}}


class TorchRunner:
    """A Runner on a loaded Gemma, with at most one adapter for each of the two calls."""

    def __init__(
        self,
        gemma: LoadedGemma,
        base_model: str,
        score_adapter: Path | None = None,
        write_adapter: Path | None = None,
        adapter: str = "",
        probe: Probe | None = None,
    ) -> None:
        self.base_model = base_model
        self.adapter = adapter
        self._gemma: LoadedGemma | None = gemma
        self._recorded = probe
        self._slots: list[int] = []
        try:
            self._score_slot = self._resident(score_adapter)
            self._write_slot = self._resident(write_adapter)
        except BaseException:
            self.close()
            raise

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text`, no BOS counted."""
        return len(self._loaded.encode(text))

    def score(
        self,
        requests: Sequence[ScoreRequest],
        labels: Sequence[str],
        cancellation: Cancellation,
        on_tokens: Callable[[int], None] = lambda count: None,
    ) -> Iterator[tuple[int, Scores]]:
        """Yield (index of the request, scores) in order; stops after the batch under way."""
        yield from _score([(self, request) for request in requests], labels, cancellation, on_tokens)

    def write(
        self, requests: Sequence[WriteRequest], cancellation: Cancellation
    ) -> Iterator[tuple[int, Reply]]:
        """Yield (index of the request, greedy reply) as they end; stops between tokens when cancelled."""
        yield from _write([(self, request) for request in requests], cancellation)

    def likelihoods(
        self,
        requests: Sequence[LikelihoodRequest],
        cancellation: Cancellation,
        on_tokens: Callable[[int], None] = lambda count: None,
    ) -> Iterator[tuple[int, Likelihood]]:
        """Yield (index of the request, likelihood) in order; stops after the batch under way."""
        gemma = self._loaded
        given = [self._given(request) for request in requests]
        read = gemma.read([prompt for prompt, _ in given], lambda: cancellation.cancelled)
        for index, hidden, cached in read:
            if cancellation.cancelled:
                return
            prompt, asked = given[index]
            on_tokens(len(prompt.tokens))
            found = tuple(gemma.log_probabilities(hidden, asked))
            yield index, Likelihood(found, prompt_tokens=len(prompt.tokens), cached_tokens=cached)

    def score_with(
        self,
        runners: Sequence[Runner],
        requests: Sequence[ScoreRequest],
        labels: Sequence[str],
        cancellation: Cancellation,
    ) -> Iterator[tuple[int, Scores]]:
        """Score for runners that share this one's model, whatever their adapters, in the same passes."""
        yield from _score(list(zip(_own(runners), requests, strict=True)), labels, cancellation)

    def write_with(
        self, runners: Sequence[Runner], requests: Sequence[WriteRequest], cancellation: Cancellation
    ) -> Iterator[tuple[int, Reply]]:
        """Write for runners that share this one's model, whatever their adapters, in the same batch."""
        yield from _write(list(zip(_own(runners), requests, strict=True)), cancellation)

    def close(self) -> None:
        """Give back the adapters' slots. The model goes with its last runner. Idempotent."""
        if self._gemma is not None:
            for slot in self._slots:
                self._gemma.drop_adapter(slot)
        self._gemma = None

    def scoring_prompt(self, request: ScoreRequest) -> Prompt:
        """Return what is read to score `request`."""
        return replace(self._prompt(request), adapter=self._score_slot)

    def _prompt(self, request: ScoreRequest) -> Prompt:
        gemma = self._loaded
        tokens = gemma.prompt_tokens(request.prompt, *request.blocks)
        shared = 1 + len(gemma.encode(request.prompt))
        ends = accumulate((len(gemma.encode(block)) for block in request.blocks), initial=shared)
        return Prompt(tokens, shared, tuple(end - 1 for end in ends)[1:], -1)

    def _given(self, request: LikelihoodRequest) -> tuple[Prompt, list[int]]:
        """Return what is read up to the last token that is asked about, and the tokens asked about."""
        gemma = self._loaded
        tokens, starts = gemma.encode_placed(request.text)
        asked = asked_tokens(starts, request.span)
        before = len(gemma.prompt_tokens(request.prompt, request.suffix))
        read = gemma.prompt_tokens(request.prompt, request.suffix, then=tokens[: max(asked.stop - 1, 0)])
        shared = 1 + len(gemma.encode(request.prompt))
        wanted = tuple(before + place - 1 for place in asked)
        return Prompt(read, shared, wanted, self._write_slot), [tokens[place] for place in asked]

    def wanted_reply(self, index: int, request: WriteRequest) -> Wanted:
        """Return what is written for `request`."""
        gemma = self._loaded
        tokens = gemma.prompt_tokens(request.prompt, request.suffix)
        room = gemma.plan.context - len(tokens)
        if room < request.max_tokens:
            raise RunnerError(
                f"a prompt has {len(tokens)} tokens; with {request.max_tokens} of a reply that is over "
                f"ENGINE_CONTEXT, {gemma.plan.context}"
            )
        shared = 1 + len(gemma.encode(request.prompt))
        schema = _GUIDANCE | request.schema
        return Wanted(index, tokens, shared, schema, request.max_tokens, self._write_slot)

    @property
    def loaded(self) -> LoadedGemma:
        """The model; raises RunnerError when closed."""
        return self._loaded

    @property
    def _loaded(self) -> LoadedGemma:
        if self._gemma is None:
            raise RunnerError("the runner is closed")
        return self._gemma

    def _resident(self, directory: Path | None) -> int:
        if directory is None:
            return -1
        slot = self._loaded.add_adapter(directory)
        self._slots.append(slot)
        prove_effect(str(directory), self._probe(-1), self._probe(slot), self._recorded)
        return slot

    def _probe(self, adapter: int) -> list[list[float]]:
        gemma = self._loaded
        prompt = replace(self._prompt(PROBE), shared=0, adapter=adapter)
        ((_, hidden, _),) = gemma.read([prompt])
        return gemma.label_probabilities(hidden, _label_ids(gemma, LABELS, self.base_model))


def _score(
    requests: Sequence[tuple[TorchRunner, ScoreRequest]],
    labels: Sequence[str],
    cancellation: Cancellation,
    on_tokens: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[int, Scores]]:
    if not requests:
        return
    gemma = requests[0][0].loaded
    ids = _label_ids(gemma, labels, requests[0][0].base_model)
    prompts = [runner.scoring_prompt(request) for runner, request in requests]
    for index in (index for index, prompt in enumerate(prompts) if not prompt.wanted):
        if cancellation.cancelled:
            return
        on_tokens(len(prompts[index].tokens))
        yield index, Scores((), prompt_tokens=len(prompts[index].tokens))
    order = sorted(
        (index for index, prompt in enumerate(prompts) if prompt.wanted), key=lambda i: prompts[i].adapter
    )
    read = gemma.read([prompts[index] for index in order], lambda: cancellation.cancelled)
    for place, hidden, cached in read:
        if cancellation.cancelled:
            return
        index = order[place]
        rows = tuple(tuple(row) for row in gemma.label_probabilities(hidden, ids))
        on_tokens(len(prompts[index].tokens))
        yield index, Scores(rows, prompt_tokens=len(prompts[index].tokens), cached_tokens=cached)


def _write(
    requests: Sequence[tuple[TorchRunner, WriteRequest]], cancellation: Cancellation
) -> Iterator[tuple[int, Reply]]:
    if not requests:
        return
    gemma = requests[0][0].loaded
    wanted = [runner.wanted_reply(index, request) for index, (runner, request) in enumerate(requests)]
    # Rows with one adapter are read together; the steps afterwards mix them all.
    wanted.sort(key=lambda reply: reply.adapter)
    lengths = {reply.index: len(reply.tokens) for reply in wanted}
    for index, written in gemma.write(wanted, lambda: cancellation.cancelled):
        yield (
            index,
            Reply(
                gemma.decode(written.tokens),
                truncated=written.truncated,
                tokens=len(written.tokens),
                prompt_tokens=lengths[index],
                cached_tokens=written.cached,
            ),
        )


def _own(runners: Sequence[Runner]) -> Iterator[TorchRunner]:
    for runner in runners:
        if not isinstance(runner, TorchRunner):
            raise RunnerError(f"a batch mixes the runner torch with {type(runner).__name__}")
        yield runner


def _label_ids(gemma: LoadedGemma, labels: Sequence[str], base_model: str) -> list[int]:
    ids = [gemma.encode(label) for label in labels]
    split = [label for label, tokens in zip(labels, ids, strict=True) if len(tokens) != 1]
    if split:
        raise RunnerError(f"the labels {split} are not single tokens of {base_model}")
    return [tokens[0] for tokens in ids]
