"""The runner for vLLM, against a server that keeps vLLM's rules: exact, by name, and no call lost."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from minds import BOS, ToyMind
from structlog.testing import capture_logs
from test_openai_adapters import write_adapter
from vllm_server import Fault, VllmServer, serving_vllm

from engine.errors import AccessRefused, AdapterError, ModelError, RunnerError
from engine.probes import Probe, record_probe
from engine.prompts import LABELS
from engine.replies import parse_reply, reply_schema
from engine.runners import Cancellation, Reply, Runner, ScoreRequest, Scores, WriteRequest
from engine.runners.openai import OpenAIOptions, OpenAIRunner, inspect
from engine.runners.openai_routing import RoutingLimits, ranked

pytest.importorskip("filelock")

KEY = "sk-very-secret"
PROMPT = "<start_of_turn>user\n  1+x = eval(y)\n  2+z = 1<end_of_turn>\n<start_of_turn>model\n"
BLOCKS = ("\n1 x = eval(y) =>", "\n2 z = 1 =>")
REQUEST = ScoreRequest(PROMPT, BLOCKS)
WRITE = WriteRequest(PROMPT, f"{BLOCKS[0]} bug en\n", reply_schema(), 80)
HURRIED = RoutingLimits(calls=4, attempts=4, first_rest=0.01)

Start = Callable[..., VllmServer]
Open = Callable[..., OpenAIRunner]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers until the test ends."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving_vllm(**options))


@pytest.fixture
def vllm(start: Start) -> VllmServer:
    """A server."""
    return start()


@pytest.fixture
def open_on(tmp_path: Path) -> Iterator[Open]:
    """Open runners on servers; they are closed when the test ends."""
    with ExitStack() as stack:

        def make(*servers: VllmServer, **options: Any) -> OpenAIRunner:
            given: dict[str, Any] = {"limits": HURRIED, "shared": tmp_path / "served", **options}
            urls = tuple(server.url for server in servers)
            made = OpenAIRunner(OpenAIOptions(urls=urls, model="toy", key=servers[0].key, **given))
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter that acts."""
    return write_adapter(tmp_path / "adapter")


def scored(runner: Runner, *requests: ScoreRequest) -> list[Scores]:
    found = dict(runner.score(requests, LABELS, Cancellation()))
    return [found[index] for index in range(len(requests))]


def written(runner: Runner, *requests: WriteRequest) -> list[Reply]:
    found = dict(runner.write(requests, Cancellation()))
    return [found[index] for index in range(len(requests))]


def scoring(vllm: VllmServer) -> list[Any]:
    return [body for body in vllm.asked("/v1/completions") if "logprob_token_ids" in body]


def numbered(count: int) -> list[ScoreRequest]:
    return [ScoreRequest(f"{PROMPT}{number}", BLOCKS) for number in range(count)]


def test_scores_are_the_models_distribution_over_the_labels(open_on: Open, vllm: VllmServer) -> None:
    """BOS first, each piece tokenized apart, the softmax over just the labels, in their order."""
    [found] = scored(open_on(vllm), REQUEST)
    tokens, labels = (
        [BOS, *vllm.mind.tokenize(PROMPT, False)],
        [vllm.mind.tokenize(label, False)[0] for label in LABELS],
    )
    for block, row in zip(BLOCKS, found.probabilities, strict=True):
        tokens += vllm.mind.tokenize(block, False)
        weights = [math.exp(log) for log in vllm.mind.logprobs(None, tokens, labels)]
        assert row == pytest.approx([weight / sum(weights) for weight in weights])
    assert found.prompt_tokens == len(tokens)


def test_all_lines_of_a_chunk_are_one_request(open_on: Open, vllm: VllmServer) -> None:
    """Prefixes that grow, for one token each, so that the server's cache has all but the newest block."""
    scored(open_on(vllm), REQUEST)
    [body] = [body for body in scoring(vllm) if len(body["logprob_token_ids"]) == len(LABELS)]
    first, second = body["prompt"]
    assert first == second[: len(first)]
    assert (body["max_tokens"], body["temperature"], body["repetition_penalty"]) == (1, 0, 1.0)


def test_many_lines_are_several_requests(
    open_on: Open, vllm: VllmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is cut up gives what one request does."""
    runner = open_on(vllm)
    request = ScoreRequest(PROMPT, tuple(f"\n{number} x =>" for number in range(7)))
    whole = scored(runner, request)
    monkeypatch.setattr("engine.runners.openai._PREFIXES", 3)
    before = len(scoring(vllm))
    assert scored(runner, request) == whole
    assert [len(body["prompt"]) for body in scoring(vllm)[before:]] == [3, 3, 1]


def test_replies_are_greedy_and_bound_by_the_schema(open_on: Open, vllm: VllmServer) -> None:
    """Whitespace off in the schema, too, and the text is as the server wrote it."""
    [reply] = written(open_on(vllm), WRITE)
    body = vllm.asked("/v1/completions")[-1]
    assert body["temperature"] == 0
    assert body["structured_outputs"] == {"json": reply_schema()}
    jsonschema.validate(json.loads(reply.text), reply_schema())
    assert (reply.truncated, reply.prompt_tokens) == (False, len(body["prompt"]))


def test_a_schema_of_its_own_gets_whitespace_off(open_on: Open, vllm: VllmServer) -> None:
    """Compact JSON is what adapters are trained on."""
    schema: dict[str, object] = {"type": "string", "maxLength": 9}
    written(open_on(vllm), WriteRequest(PROMPT, "", schema, 80))
    sent = vllm.asked("/v1/completions")[-1]["structured_outputs"]["json"]
    assert sent == {"x-guidance": {"whitespace_flexible": False}, **schema}


def test_a_reply_that_ran_out_of_tokens_says_so(open_on: Open, vllm: VllmServer) -> None:
    """So the review can tell that it is not whole."""
    schema: dict[str, object] = {"type": "string"}
    [reply] = written(open_on(vllm), WriteRequest(PROMPT, "", schema, 2))
    assert (reply.truncated, reply.tokens) == (True, 2)
    assert type(parse_reply(reply.text, truncated=True)).__name__ == "Malformed"


def test_adapters_are_named_in_each_request(open_on: Open, vllm: VllmServer, adapter: Path) -> None:
    """Scores are the adapter's and replies the base model's, where it was made for scoring alone."""
    runner = open_on(vllm, score_adapter=adapter, adapter="team-1")
    assert scored(runner, REQUEST) != scored(open_on(vllm), REQUEST)
    [name] = vllm.loaded
    written(runner, WRITE)
    assert [body["model"] for body in scoring(vllm)][-2:] == [name, "toy"]
    assert vllm.asked("/v1/completions")[-1]["model"] == "toy"
    assert (runner.base_model, runner.adapter) == ("toy", "team-1")


def test_an_adapter_without_effect_is_refused(open_on: Open, vllm: VllmServer, tmp_path: Path) -> None:
    """vLLM loads tensors that match no module with 200, and serves the base model."""
    directory = write_adapter(tmp_path / "noop", module="base_model.model.other.layers.0")
    with pytest.raises(AdapterError, match="has no effect on toy"):
        open_on(vllm, score_adapter=directory)
    assert vllm.loaded == {}


def test_an_adapter_does_what_was_recorded(open_on: Open, vllm: VllmServer, adapter: Path) -> None:
    """What its manifest says of the probe is compared with what the server makes of it."""
    base, adapted = open_on(vllm), open_on(vllm, score_adapter=adapter)
    assert open_on(vllm, score_adapter=adapter, probe=record_probe(base, adapted)).base_model == "toy"


@pytest.mark.parametrize(
    ("of_base", "of_effect", "message"),
    [(1.0, 2.0, "does not do what it did"), (3.0, 1.0, "made for another base model")],
)
def test_what_was_not_recorded_is_refused(
    open_on: Open, vllm: VllmServer, adapter: Path, of_base: float, of_effect: float, message: str
) -> None:
    """An effect twice as large, as of a scale applied twice, and a base model that says other things."""
    now = record_probe(open_on(vllm), open_on(vllm, score_adapter=adapter))
    pairs = [list(zip(*rows, strict=True)) for rows in zip(now.base, now.adapter, strict=True)]
    then = Probe(
        base=tuple(tuple(of_base * base for base, _ in row) for row in pairs),
        adapter=tuple(
            tuple(of_base * base + of_effect * (after - base) for base, after in row) for row in pairs
        ),
    )
    vllm.loaded.clear()
    with pytest.raises(AdapterError, match=message):
        open_on(vllm, score_adapter=adapter, probe=then)
    assert vllm.loaded == {}


def test_a_recorded_adapter_needs_the_labels_as_tokens(
    open_on: Open, vllm: VllmServer, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base whose vocabulary splits a label is not the one that the adapter was trained on."""
    recorded = record_probe(open_on(vllm), open_on(vllm, score_adapter=adapter))
    monkeypatch.setattr("engine.runners.openai_greeting.LABELS", (" ok", " two words"))
    with pytest.raises(AdapterError, match=r"another base: \[' two words'\] are not single tokens of toy"):
        open_on(vllm, score_adapter=adapter, probe=recorded)


def test_noise_is_no_effect(open_on: Open, vllm: VllmServer, tmp_path: Path) -> None:
    """Where the same question gets two answers, an adapter has to do more than that."""

    class Noisy(ToyMind):
        asked = 0

        def logprobs(self, adapter: Path | None, prompt: list[int], tokens: list[int]) -> list[float]:
            self.asked += 1
            return [
                log + 0.0003 * self.asked * n for n, log in enumerate(super().logprobs(None, prompt, tokens))
            ]

    vllm.mind = Noisy()
    with pytest.raises(AdapterError, match=r"without it by 0\.00"):
        open_on(vllm, score_adapter=write_adapter(tmp_path / "weak"))


def test_a_server_that_ignores_schemas_is_refused(open_on: Open, start: Start) -> None:
    """As one does that knows only the field's old name; the error has the flags."""
    with pytest.raises(ModelError, match="--structured-outputs-config"):
        open_on(start(keeps_schemas=False))


def test_the_model_has_to_be_the_one_asked_for(open_on: Open, start: Start) -> None:
    """And to read as many tokens as a request may have."""
    with pytest.raises(ModelError, match=r"serves other, not toy \(ENGINE_OPENAI_MODEL\)"):
        open_on(start(model="other"))
    with pytest.raises(ModelError, match="reads 2048 tokens at once, and ENGINE_CONTEXT is 4096"):
        open_on(start(max_model_len=2048))


def test_a_wrong_key_is_told(start: Start) -> None:
    """By the name of its setting."""
    server = start(key=KEY)
    with pytest.raises(AccessRefused, match="ENGINE_OPENAI_KEY"):
        OpenAIRunner(OpenAIOptions(urls=(server.url,), model="toy", key="wrong"))


def test_a_server_that_was_started_anew_is_given_the_adapter_again(
    open_on: Open, vllm: VllmServer, adapter: Path
) -> None:
    """The call that finds out goes through."""
    runner = open_on(vllm, score_adapter=adapter)
    before = scored(runner, REQUEST)
    vllm.loaded.clear()
    assert scored(runner, REQUEST) == before
    assert len(vllm.asked("/v1/load_lora_adapter")) == 2


def test_calls_stay_on_the_adapters_server(open_on: Open, start: Start, adapter: Path) -> None:
    """One after the other, with replies where the prompt was read; the other server has nothing to do."""
    servers = [start(), start()]
    runner = open_on(*servers, score_adapter=adapter, write_adapter=adapter)
    [name] = servers[0].loaded
    own = ranked(name, [server.url for server in servers])[0]
    before = [len(server.asked("/v1/completions")) for server in servers]
    for number in range(4):
        scored(runner, ScoreRequest(f"{PROMPT}{number}", BLOCKS))
        written(runner, WriteRequest(f"{PROMPT}{number}", "", reply_schema(), 80))
    after = [len(server.asked("/v1/completions")) for server in servers]
    done = {server.url: a - b for server, a, b in zip(servers, after, before, strict=True)}
    assert done[own] == 8
    assert sum(done.values()) == 8


def test_many_calls_use_all_servers_but_none_too_much(open_on: Open, start: Start) -> None:
    """As many at once as a server is to have, on each."""
    hold = threading.Event()
    servers = [start(), start()]
    runner = open_on(*servers)
    for server in servers:
        server.hold = hold

    def let_go() -> None:
        for server in servers:
            for _ in range(HURRIED.calls):
                assert server.waiting.acquire(timeout=60)
        hold.set()

    thread = threading.Thread(target=let_go)
    thread.start()
    assert len(scored(runner, *numbered(20))) == 20
    thread.join()
    assert [server.most_running for server in servers] == [HURRIED.calls, HURRIED.calls]


def test_no_call_is_lost_when_a_server_dies(open_on: Open, start: Start) -> None:
    """What broke off is computed elsewhere, and the answers are the same."""
    mind = ToyMind()
    servers = [start(mind=mind), start(mind=mind)]
    runner, now = open_on(*servers), 0.0
    runner._fleet._clock = lambda: now  # stands still: however slow the other is, the dead one rests
    expected = scored(runner, *numbered(12))
    own = ranked("toy", [server.url for server in servers])[0]
    [dying] = [server for server in servers if server.url == own]
    for path in ("/v1/completions", "/health"):
        dying.faults[path] = [Fault(hang_up=True)] * 100
    assert scored(runner, *numbered(12)) == expected
    dying.faults.clear()
    now += 60
    before = len(dying.asked("/v1/completions"))
    scored(runner, *(ScoreRequest(f"another {number}", BLOCKS) for number in range(4)))
    assert len(dying.asked("/v1/completions")) > before


def test_a_busy_server_is_asked_again_later(open_on: Open, vllm: VllmServer) -> None:
    """429 and 503 cost time, not reviews."""
    runner = open_on(vllm)
    vllm.faults["/v1/completions"] = [Fault(429, {}, {"Retry-After": "0"}), Fault(503, b"")]
    assert len(scored(runner, REQUEST)) == 1
    vllm.faults["/v1/completions"] = [Fault(503, b"")] * 10
    with pytest.raises(RunnerError, match="takes on nothing more"):
        scored(runner, REQUEST)


def test_servers_that_are_down_at_the_start_are_left_to_rest(open_on: Open, start: Start) -> None:
    """One is enough; none is an error that says why."""
    down, up = start(), start()
    down.faults["/health"] = [Fault(hang_up=True)] * 10
    assert len(scored(open_on(down, up), REQUEST)) == 1
    down.faults["/health"] = [Fault(hang_up=True)] * 10
    with pytest.raises(RunnerError, match=f"no server can be used: {down.url}: broke off"):
        open_on(down)


def test_cancelling_closes_the_connections(open_on: Open, vllm: VllmServer) -> None:
    """The caller has control back at once, the server stops computing, and the runner works on."""
    runner, cancellation = open_on(vllm), Cancellation()
    list(runner.score([REQUEST], LABELS, Cancellation()))
    vllm.hold = threading.Event()

    def cancel() -> None:
        for _ in range(HURRIED.calls):
            vllm.waiting.acquire()
        cancellation.cancel()

    threading.Thread(target=cancel).start()
    # The server holds every answer back until it is let go: only the hanging up can end this.
    assert list(runner.score(numbered(10), LABELS, cancellation)) == []
    for _ in range(HURRIED.calls):
        assert vllm.abandoned.acquire(timeout=60)
    vllm.hold.set()
    assert len(scored(runner, REQUEST)) == 1


def test_whoever_stops_listening_hangs_up(open_on: Open, vllm: VllmServer) -> None:
    """An abandoned iterator leaves no call behind."""
    runner = open_on(vllm)
    first = iter(runner.score(numbered(2), LABELS, Cancellation()))
    next(first)
    vllm.hold = threading.Event()
    second = runner.write([WRITE] * 2, Cancellation())
    threading.Timer(0.2, vllm.hold.set).start()
    next(iter(second))
    second.close()  # type: ignore[attr-defined]
    first.close()  # type: ignore[attr-defined]
    assert len(scored(runner, REQUEST)) == 1


def _without_logprobs(path: str, answer: Any) -> Any:
    for choice in answer["choices"]:
        choice["logprobs"] = None
    return answer


def _without_labels(path: str, answer: Any) -> Any:
    for choice in answer["choices"]:
        choice["logprobs"]["top_logprobs"] = [{"token_id:1": -0.1}]
    return answer


def _as_texts(path: str, answer: Any) -> Any:
    for choice in answer["choices"]:
        choice["logprobs"]["top_logprobs"] = [{" ok": -0.1}]
    return answer


def _not_finite(path: str, answer: Any) -> Any:
    for top in (choice["logprobs"]["top_logprobs"][0] for choice in answer["choices"]):
        top.update(dict.fromkeys(top, math.nan))
    return answer


def _one_missing(path: str, answer: Any) -> Any:
    return answer | {"choices": answer["choices"][1:]}


def _no_choices(path: str, answer: Any) -> Any:
    return {"object": "text_completion", "usage": answer["usage"]}


@pytest.mark.parametrize(
    ("twist", "reason"),
    [
        (_without_logprobs, "without logprobs"),
        (_without_labels, r"no log-probability for the tokens \[\d+"),
        (_as_texts, "no log-probability for the tokens"),
        (_not_finite, "not finite"),
        (_one_missing, "1 answers to 2 prompts"),
        (_no_choices, "choices: Field required"),
        (lambda path, answer: b"<html>It works!</html>", "an answer that cannot be read: all of it"),
        (lambda path, answer: None, "an answer that cannot be read"),
    ],
)
def test_malformed_scores_are_named(
    open_on: Open, vllm: VllmServer, twist: Callable[[str, Any], Any], reason: str
) -> None:
    """The error says what is missing, and of which server; nothing is made up for it."""
    runner = open_on(vllm)
    runner.count_tokens(PROMPT + "".join(BLOCKS))
    list(runner.score([], LABELS, Cancellation()))
    scored(runner, REQUEST)
    vllm.twist = twist
    with pytest.raises(RunnerError, match=rf"{vllm.url}: .*{reason}"):
        scored(runner, REQUEST)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"choices": []}, "0 answers to one prompt"),
        ({"choices": [{"index": 0, "text": "x", "finish_reason": "abort"}]}, "ended with 'abort'"),
        ({"choices": [{"index": 0, "text": None, "finish_reason": "stop"}]}, "choices.0.text"),
        ({"usage": None}, "usage"),
    ],
)
def test_malformed_replies_are_named(
    open_on: Open, vllm: VllmServer, change: dict[str, Any], reason: str
) -> None:
    """So with replies."""
    runner = open_on(vllm)
    written(runner, WRITE)
    vllm.twist = lambda path, answer: answer | change
    with pytest.raises(RunnerError, match=reason):
        written(runner, WRITE)


def test_a_prompt_that_is_too_long_is_the_servers_word(open_on: Open, start: Start) -> None:
    """It is told once and not tried again."""
    server = start(max_model_len=100)
    runner = open_on(server, context=100)
    before = len(server.asked("/v1/completions"))
    with pytest.raises(RunnerError, match="maximum context length is 100 tokens"):
        scored(runner, ScoreRequest("word " * 200, BLOCKS))
    assert len(server.asked("/v1/completions")) == before + 1


def test_labels_are_single_tokens(open_on: Open, vllm: VllmServer) -> None:
    """A label that is no token cannot be read from a distribution."""
    with pytest.raises(RunnerError, match=r"' two words'.*not single tokens of toy"):
        list(open_on(vllm).score([REQUEST], [" ok", " two words"], Cancellation()))


def test_the_key_is_in_no_log_error_or_representation(start: Start, tmp_path: Path) -> None:
    """Whatever goes wrong."""
    server = start(key=KEY)
    options = OpenAIOptions(urls=(server.url,), model="toy", key=KEY, limits=HURRIED)
    with capture_logs() as logs:
        runner = OpenAIRunner(options)
        server.faults["/v1/completions"] = [Fault(500, {"error": {"message": "dead"}})] * 10
        with pytest.raises(RunnerError) as raised:
            scored(runner, REQUEST)
        runner.close()
    assert {"openai.server_ready", "openai.server_rests"} <= {entry["event"] for entry in logs}
    assert all(seen.headers["Authorization"] == f"Bearer {KEY}" for seen in server.seen)
    assert KEY not in repr(options) + repr(logs) + repr(vars(runner)) + str(raised.value)


def test_closing_unloads_what_this_runner_loaded(open_on: Open, vllm: VllmServer, adapter: Path) -> None:
    """What another engine had loaded stays; closing twice and a server that is gone are no errors."""
    first = open_on(vllm, score_adapter=adapter)
    second = open_on(vllm, score_adapter=adapter)
    second.close()
    assert len(vllm.loaded) == 1
    first.close()
    first.close()
    assert vllm.loaded == {}
    third = open_on(vllm, score_adapter=adapter)
    vllm.faults["/v1/unload_lora_adapter"] = [Fault(hang_up=True)] * 2
    third.close()


def test_a_closed_runner_says_so(open_on: Open, vllm: VllmServer) -> None:
    """Every call after closing is a clear error."""
    runner = open_on(vllm)
    scored(runner, REQUEST)
    runner.close()
    for call in (
        lambda: runner.count_tokens("not counted yet"),
        lambda: scored(runner, REQUEST),
        lambda: written(runner, WRITE),
    ):
        with pytest.raises(RunnerError, match="the runner is closed"):
            call()


def test_addresses_may_end_in_v1(open_on: Open, vllm: VllmServer) -> None:
    """As clients of the OpenAI API want them."""
    runner = OpenAIRunner(OpenAIOptions(urls=(f"{vllm.url}/v1",), model="toy"))
    assert runner.count_tokens("x = 1") == 4
    runner.close()


def test_tokens_are_counted_once(open_on: Open, vllm: VllmServer) -> None:
    """The server is not asked twice for a text."""
    runner = open_on(vllm)
    before = len(vllm.asked("/tokenize"))
    assert len({runner.count_tokens("x = 1") for _ in range(3)}) == 1
    assert len(vllm.asked("/tokenize")) == before + 1


class TestTokenizerFile:
    """With the model's tokenizer.json the servers are not asked for tokens."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """A tokenizer of words, as a file."""
        tokenizers = pytest.importorskip("tokenizers")
        path = tmp_path / "tokenizer.json"
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=False))
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=600, initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator([" ".join(LABELS) * 9, PROMPT * 9, *LABELS * 99], trainer)
        tokenizer.enable_truncation(4)
        tokenizer.save(str(path))
        return path

    def test_counts_are_the_servers(self, open_on: Open, vllm: VllmServer, file: Path) -> None:
        """A text of any length is counted whole, and scores are those of the server's own tokens."""
        vllm.mind = FileMind(file)
        runner = open_on(vllm, tokenizer=file)
        before = len(vllm.asked("/tokenize"))
        assert runner.count_tokens(PROMPT) == len(vllm.mind.tokenize(PROMPT, False)) > 4
        found = list(runner.score([REQUEST], [" ok", " bug"], Cancellation()))
        assert len(vllm.asked("/tokenize")) == before
        assert found == list(open_on(vllm).score([REQUEST], [" ok", " bug"], Cancellation()))

    def test_another_models_file_is_refused(self, open_on: Open, vllm: VllmServer, file: Path) -> None:
        """Before it makes scores of the wrong tokens."""
        with pytest.raises(ModelError, match="ENGINE_OPENAI_TOKENIZER is not the tokenizer of toy"):
            open_on(vllm, tokenizer=file)

    def test_a_file_that_is_none_is_named(self, open_on: Open, vllm: VllmServer, tmp_path: Path) -> None:
        """With the library's own words."""
        pytest.importorskip("tokenizers")
        (tmp_path / "wrong.json").write_text("{}")
        with pytest.raises(ModelError, match=r"wrong\.json is no tokenizer"):
            open_on(vllm, tokenizer=tmp_path / "wrong.json")


class FileMind(ToyMind):
    """A toy with the tokens of a tokenizer file."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_truncation()

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Return the file's tokens."""
        tokens = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [BOS, *tokens] if special else tokens


def test_inspecting_loads_no_adapter(vllm: VllmServer) -> None:
    """And says which version a server is, or why it cannot be used."""
    options = OpenAIOptions(urls=(vllm.url,), model="toy")
    assert inspect(vllm.url, options) == "version 0.33.0"
    assert vllm.asked("/v1/load_lora_adapter") == []
    vllm.faults["/health"] = [Fault(503, b"")]
    with pytest.raises(RunnerError, match="takes on nothing more"):
        inspect(vllm.url, options)
