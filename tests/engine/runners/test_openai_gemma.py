"""The runner for vLLM, with the real model behind the server: it says what the embedded runner says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

from minds import GemmaMind  # noqa: E402 - after the skip
from vllm_server import serving_vllm  # noqa: E402

from engine.adapters import load_adapter, starter_adapter  # noqa: E402
from engine.errors import AdapterError  # noqa: E402
from engine.models import BaseModel  # noqa: E402
from engine.prompts import LABELS  # noqa: E402
from engine.replies import reply_schema  # noqa: E402
from engine.runners import Cancellation, Runner, ScoreRequest, WriteRequest  # noqa: E402
from engine.runners.llama import LlamaOptions, LlamaRunner  # noqa: E402
from engine.runners.openai import OpenAIOptions, OpenAIRunner  # noqa: E402
from engine.runners.openai_routing import RoutingLimits  # noqa: E402

pytestmark = pytest.mark.model

ROWS = [f"    total{n} = eval(rows[{n}]) + open(path{n}).read()  # 変更" for n in range(6)]
PROMPT = "<start_of_turn>user\nReview a.py.\n" + "\n".join(ROWS) + "<end_of_turn>\n<start_of_turn>model\n"
REQUEST = ScoreRequest(PROMPT, tuple(f"\n{n} {row.strip()} =>" for n, row in enumerate(ROWS, 1)))
WRITE = WriteRequest(PROMPT, f"{REQUEST.blocks[0]} security en\n", reply_schema(), 40)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runners on one model and one adapter: in this process, and behind a server."""

    embedded: LlamaRunner
    served: OpenAIRunner


@pytest.fixture(scope="module")
def pair(gemma: BaseModel, random_adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both with an adapter that scores, and the base model that writes."""
    folder = tmp_path_factory.mktemp("served")
    options = LlamaOptions(score_adapter=random_adapter, context=1024, slots=1, cache=folder)
    embedded = LlamaRunner(gemma, options)
    with serving_vllm(mind=GemmaMind(embedded), max_model_len=1024) as vllm:
        served = OpenAIRunner(
            OpenAIOptions(
                urls=(vllm.url,),
                model=vllm.model,
                score_adapter=random_adapter,
                shared=folder / "adapters",
                context=1024,
                limits=RoutingLimits(calls=1),
            )
        )
        yield Pair(embedded, served)
        served.close()
    embedded.close()


def scores(pair: Pair, runner: Runner) -> list[tuple[float, ...]]:
    """Scores with the same in the model's cache before: what was read with it moves the last bits."""
    other = ScoreRequest("Something else.", ("\n1 x =>",))
    list(pair.embedded.score([other], LABELS, Cancellation(), lambda count: None))
    [(_, found)] = runner.score([REQUEST], LABELS, Cancellation(), lambda count: None)
    return list(found.probabilities)


def test_scores_are_the_embedded_runners(pair: Pair) -> None:
    """The same prefixes of the same tokens, the same distribution over the labels."""
    difference = np.subtract(scores(pair, pair.served), scores(pair, pair.embedded))
    assert np.abs(difference).max() < 1e-6


def test_replies_are_the_embedded_runners(pair: Pair) -> None:
    """The same prompt under the same schema."""
    [(_, embedded)] = pair.embedded.write([WRITE], Cancellation())
    [(_, served)] = pair.served.write([WRITE], Cancellation())
    assert (served.text, served.truncated) == (embedded.text, embedded.truncated)
    assert served.prompt_tokens == embedded.prompt_tokens


def test_tokens_are_the_models(pair: Pair) -> None:
    """Control tokens are one each, and no BOS is counted."""
    for text in ("<end_of_turn>", PROMPT, "変更 😀", ""):
        assert pair.served.count_tokens(text) == pair.embedded.count_tokens(text)


def test_the_starter_does_there_what_it_did_when_it_was_made(
    gemma: BaseModel, random_adapter: Path, tmp_path: Path
) -> None:
    """Its recorded probe fits what is read through the server; another adapter's weights do not."""
    directory = starter_adapter()
    assert directory is not None
    recorded = load_adapter(directory).manifest.probe
    for weights, refused in ((directory, False), (random_adapter, True)):
        embedded = LlamaRunner(
            gemma, LlamaOptions(score_adapter=weights, context=1024, slots=1, cache=tmp_path)
        )
        with serving_vllm(mind=GemmaMind(embedded), max_model_len=1024) as vllm:
            options = OpenAIOptions(
                (vllm.url,),
                vllm.model,
                score_adapter=weights,
                shared=tmp_path / "s",
                context=1024,
                probe=recorded,
            )
            with pytest.raises(AdapterError, match="does not do what") if refused else nullcontext():
                OpenAIRunner(options).close()
        embedded.close()
