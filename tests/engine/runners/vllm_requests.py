"""vLLM's request models as they are in 0.33, restated: what it would refuse or, worse, pass over is refused.

Sources: vllm/entrypoints/openai/completion/protocol.py (CompletionRequest), vllm/sampling_params.py
(SamplingParams, StructuredOutputsParams), vllm/entrypoints/serve/tokenize/protocol.py and
vllm/entrypoints/serve/lora/protocol.py. vLLM takes unknown fields and ignores them; these models do not.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_LOGPROB_TOKEN_IDS = 128
MAX_PROMPTS = 1024  # VLLM_MAX_COMPLETION_PROMPTS

TokenId = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """A body with these fields and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StructuredOutputs(Strict):
    """Exactly one constraint, and the options of JSON."""

    json_: dict[str, Any] | None = Field(default=None, alias="json")
    regex: str | None = None
    choice: list[str] | None = None
    disable_any_whitespace: bool = False
    disable_additional_properties: bool = False
    whitespace_pattern: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(given is not None for given in (self.json_, self.regex, self.choice)) != 1:
            raise ValueError("You must use one kind of structured outputs constraint")
        return self


class CompletionRequest(Strict):
    """The fields that this project may use."""

    model: str
    prompt: list[TokenId] | list[list[TokenId]]
    max_tokens: int = Field(default=16, ge=1)
    temperature: float = Field(default=1.0, ge=0)
    repetition_penalty: float = Field(default=1.0, gt=0)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    logprobs: int | None = Field(default=None, ge=-1)
    logprob_token_ids: list[TokenId] | None = Field(default=None, max_length=MAX_LOGPROB_TOKEN_IDS)
    return_tokens_as_token_ids: bool | None = None
    structured_outputs: StructuredOutputs | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.prompt or not all(self.prompts):
            raise ValueError("Either prompt or prompt_embeds must be provided and non-empty.")
        if len(self.prompts) > MAX_PROMPTS:
            raise ValueError(f"prompt list length {len(self.prompts)} exceeds the maximum")
        if self.logprob_token_ids and self.logprobs is None:
            raise ValueError("when using `logprob_token_ids`, `logprobs` must be set.")
        return self

    @property
    def prompts(self) -> list[list[int]]:
        """All prompts, one or many."""
        return [self.prompt] if isinstance(self.prompt[0], int) else self.prompt  # type: ignore[list-item,return-value]


class TokenizeRequest(Strict):
    """A text, not a chat."""

    model: str
    prompt: str
    add_special_tokens: bool = True


class LoadRequest(Strict):
    """`load_inplace` would let stale cache entries live on, so it is not even a field here."""

    lora_name: str = Field(min_length=1)
    lora_path: str = Field(min_length=1)


class UnloadRequest(Strict):
    """By name alone."""

    lora_name: str = Field(min_length=1)
