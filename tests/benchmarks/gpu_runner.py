"""The torch runner on a GPU against its limits and against transformers' `generate`, in one run, as JSON.

    python -m tests.benchmarks.gpu_runner --base DIR --adapter DIR --output results.json

`--base` is a Hugging Face directory of the real Gemma 3 270M. The 4B shape has random weights: its figures
are speed and memory only. Steps are timed on the host with the device in step, as a reply would see them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: TID253 - all of this needs it

from engine.diffs import Chunk, DiffLine, LineKind
from engine.findings import Category
from engine.prompts import LABELS, review_prompt, score_blocks, write_suffix
from engine.replies import reply_schema
from engine.runners import Cancellation, ScoreRequest, WriteRequest
from engine.runners.gemma.decoding import RowState
from engine.runners.gemma.loaded import LoadedGemma, Prompt, best_ops
from engine.runners.gemma.memory import MemoryPlan, largest_plan, measured
from engine.runners.gemma.shape import GemmaShape, Rope, read_shape
from engine.runners.gemma.weights import LoraRoom, load_weights
from engine.runners.torch_runner import TorchRunner
from engine.testing import write_random_adapter
from engine.wire import Language

PROMPT, NEW = 1500, 256
BATCHES = (1, 8, 32, 64)
SHAPE_4B = GemmaShape(
    vocab=262_208, hidden=2560, ffn=10_240, heads=8, kv_heads=4, head_dim=256,
    sliding=tuple((i + 1) % 6 != 0 for i in range(34)), window=1024, eps=1e-6, scale=256**-0.5,
    full_rope=Rope(1e6, 8.0), sliding_rope=Rope(1e4),
)  # fmt: skip


def main() -> None:
    """Measure and write the results; a part that fails says so and the others go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="directory of the real 270M")
    parser.add_argument("--adapter", type=Path, required=True, help="PEFT directory for the real 270M")
    parser.add_argument("--parts", default="limits,270m,4b,4b-nf4,peers")
    parser.add_argument("--output", type=Path, default=Path("gpu_runner.json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = {"about": _about()}
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "limits": _limits,
        "270m": lambda: _real(arguments.base, arguments.adapter),
        "4b": lambda: _random("bfloat16"),
        "4b-nf4": lambda: _random("nf4"),
        "peers": lambda: _peers(arguments.base),
    }
    for name in arguments.parts.split(","):
        started = time.monotonic()
        with _fresh_memory():
            try:
                results[name] = parts[name]()
            except Exception as error:  # noqa: BLE001 - one part's failure is a result too
                import traceback

                traceback.print_exc()
                results[name] = {"failed": repr(error)[:500]}
        print(f"{name}: {time.monotonic() - started:.0f} s\n{json.dumps(results[name])}", flush=True)
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


def _about() -> dict[str, Any]:
    card = torch.cuda.get_device_properties(0)
    libraries = ("torch", "transformers", "triton", "bitsandbytes", "llguidance", "tokenizers")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": card.name,
        "memory_gib": round(card.total_memory / 2**30, 1),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in libraries}},
        "sizes": {"prompt_tokens": PROMPT, "new_tokens": NEW},
    }


def _limits() -> dict[str, Any]:
    """Ceilings of this card: copying counts bytes read and written."""
    x = torch.randn(2**30, device="cuda", dtype=torch.bfloat16)
    y = torch.empty_like(x)
    copy = _median(lambda: y.copy_(x), 10)
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in "ab")
    product = _median(lambda: a @ b, 10)
    return {
        "copy_tb_s": round(2 * x.nbytes / copy / 1e12, 2),
        "matmul_tflop_s": round(2 * 8192**3 / product / 1e12),
    }


def _real(base: Path, adapter: Path) -> dict[str, Any]:
    """The real 270M with its adapter."""
    shape = read_shape(base)
    assert shape is not None
    plan = largest_plan(shape, torch.cuda.get_device_properties(0).total_memory, adapters=4)
    started = time.monotonic()
    gemma = LoadedGemma.load(base, shape, plan, "cuda")
    torch.cuda.synchronize()
    loaded = time.monotonic() - started
    bare, adapted = TorchRunner(gemma, "270m"), TorchRunner(gemma, "270m", adapter, adapter, "starter")
    swap = _adapter_loads(gemma, adapter)
    with tempfile.TemporaryDirectory() as folder:
        others = [write_random_adapter(Path(folder) / str(i), seed=i, rank=16) for i in range(3)]
        mixed = [adapted, *(TorchRunner(gemma, "270m", path, path, path.name) for path in others)]
    return {
        "load_seconds": round(loaded, 2),
        **_memory(shape, plan),
        "adapter_load_ms": swap,
        "scoring": {
            "base": _scoring([bare]),
            "adapter": _scoring([adapted]),
            "4_adapters_mixed": _scoring(mixed),
        },
        "writing": {
            "base": _writing([bare]),
            "adapter": _writing([adapted]),
            "4_adapters_mixed": _writing(mixed),
        },
        **_speeds(gemma, shape, adapted),
    }


def _random(precision: str) -> dict[str, Any]:
    """Gemma-3-4b's text shape with random weights: speed and memory only."""
    torch.manual_seed(0)

    def read(name: str) -> Any:
        size = _tensor_size(SHAPE_4B, name)
        if "norm" in name:
            return torch.zeros(size, device="cuda", dtype=torch.bfloat16)
        return torch.empty(size, device="cuda", dtype=torch.bfloat16).normal_(0, 0.02)

    plan = largest_plan(
        SHAPE_4B, torch.cuda.get_device_properties(0).total_memory, precision=precision, adapters=4, rank=16
    )
    with torch.inference_mode():
        weights = load_weights(SHAPE_4B, read, precision, LoraRoom(plan.adapters, plan.rank))
        gemma = LoadedGemma(weights, _tokenizer_json(), plan, best_ops("cuda"))
        for stacks in gemma._model.lora._stacks:
            for stack in stacks.values():
                stack.b.normal_(0, 0.01)
                stack.projection.lora_a.normal_(0, 0.02)
    return {"weights": "random", **_memory(SHAPE_4B, plan), **_speeds(gemma, SHAPE_4B, None)}


def _speeds(gemma: LoadedGemma, shape: GemmaShape, runner: TorchRunner | None) -> dict[str, Any]:
    adapted = (0, 0, 0, 0), (0, 1, 2, 3)
    rows: dict[str, Any] = {}
    for name, adapters in (("base", (-1,)), ("adapter", adapted[0]), ("4_adapters_mixed", adapted[1])):
        rows[name] = {
            f"batch_{b}": _decode(gemma, shape, b, adapters) for b in BATCHES if b <= gemma.plan.slots
        }
    reading_ = {
        f"{count}x{PROMPT}": {"base": _prefill(gemma, count, -1), "adapter": _prefill(gemma, count, 0)}
        for count in (1, 8, 32)
    }
    return {"prefill": reading_, "decode": rows, "grammar": _grammar(gemma, shape)}


def _decode(gemma: LoadedGemma, shape: GemmaShape, batch: int, adapters: tuple[int, ...]) -> dict[str, Any]:
    """Steps of `batch` rows that have read PROMPT tokens, every token allowed."""
    decoder, rings = gemma._decoder, gemma._model.rings
    with torch.inference_mode():
        for tensor in (*rings.keys, *rings.values):
            tensor.normal_()
        decoder.masks.fill_(-1)
        rows = [RowState(100 + i, PROMPT + NEW // 2, i, adapters[i % len(adapters)]) for i in range(batch)]

        def step() -> None:
            decoder.start(rows)
            decoder.choose(batch)

        started = time.monotonic()
        decoder.start(rows)
        decoder.choose(batch)
        first = time.monotonic() - started
        seconds = _median(step, 30)
    seen = sum(min(rings.sliding if sliding else rings.full, PROMPT + NEW // 2) for sliding in shape.sliding)
    cache = batch * seen * 2 * shape.kv_width * 2
    return {
        "step_ms": round(seconds * 1e3, 3),
        "tokens_per_second": round(batch / seconds, 1),
        "cache_gb": round(cache / 1e9, 2),
        "first_step_seconds": round(first, 2),
    }


def _prefill(gemma: LoadedGemma, count: int, adapter: int) -> dict[str, Any]:
    random = np.random.default_rng(0)

    def prompts() -> list[Prompt]:
        return [
            Prompt(random.integers(300, 200_000, PROMPT, dtype=np.int32), 0, (PROMPT - 1,), adapter)
            for _ in range(count)
        ]

    def read() -> None:
        for _, hidden, _ in gemma.read(prompts()):
            hidden.sum().item()

    read()
    seconds = _median(read, 5)
    return {"ms": round(seconds * 1e3, 1), "tokens_per_second": round(count * PROMPT / seconds)}


def _grammar(gemma: LoadedGemma, shape: GemmaShape) -> dict[str, Any]:
    """A step with masks filled for each row against one without."""
    decoder, found = gemma._decoder, {}
    with torch.inference_mode():
        for batch in BATCHES:
            if batch > gemma.plan.slots:
                continue
            matchers = [gemma.grammars.matcher(reply_schema()) for _ in range(batch)]
            rows = [RowState(100 + i, PROMPT, i, -1) for i in range(batch)]
            for text in ('{"', "severity", '":"', "major", '","', "message", '":"', "The"):
                for matcher in matchers:
                    for token in gemma.encode(text):
                        matcher.consume_token(token)

            def step(masked: bool, rows: list[RowState] = rows, matchers: list[Any] = matchers) -> None:
                decoder.start(rows)
                if masked:
                    gemma.grammars.fill(matchers, decoder.masks)
                decoder.choose(len(rows))

            times = {masked: _median(lambda m=masked: step(m), 30) for masked in (False, True)}
            fill = _median(lambda m=matchers: gemma.grammars.fill(m, decoder.masks), 30)
            found[f"batch_{batch}"] = {
                "free_ms": round(times[False] * 1e3, 3),
                "masked_ms": round(times[True] * 1e3, 3),
                "cost": round(times[True] / times[False] - 1, 4),
                "fill_alone_ms": round(fill * 1e3, 3),
            }
    return found


def _scoring(runners: list[TorchRunner]) -> dict[str, Any]:
    """Hunks of 16 lines of Python, no two alike; each prompt read once."""
    gemma = runners[0].loaded

    def pass_(seed: int, count: int) -> tuple[float, float, int]:
        gemma._model.store.clear()
        requests = [ScoreRequest(review_prompt(c), score_blocks(c)) for c in _chunks(seed, count)]
        own = [runners[i % len(runners)] for i in range(count)]
        torch.cuda.synchronize()
        started, first, tokens = time.monotonic(), 0.0, 0
        for _, scores in runners[0].score_with(own, requests, LABELS, Cancellation()):
            first = first or time.monotonic() - started
            tokens += scores.prompt_tokens
        return time.monotonic() - started, first, tokens

    pass_(0, 64)
    runs = [pass_(seed, 512) for seed in (1, 2, 3)]
    seconds, _, tokens = sorted(runs)[1]
    alone = sorted(pass_(seed, 1)[0] for seed in range(10, 15))[2]
    return {
        "hunks": 512,
        "tokens": tokens,
        "hunks_per_second": round(512 / seconds, 1),
        "tokens_per_second": round(tokens / seconds),
        "one_hunk_ms": round(alone * 1e3, 1),
    }


def _writing(runners: list[TorchRunner]) -> dict[str, Any]:
    """Replies under the product's grammar, prompts in the store as after scoring."""
    chunks = list(_chunks(7, 64))
    requests = [
        WriteRequest(
            review_prompt(chunk),
            write_suffix(chunk, chunk.commentable[3], Category.BUG, Language.EN),
            reply_schema(),
            256,
        )
        for chunk in chunks
    ]
    found = {}
    for count in (1, 64):
        own = [runners[i % len(runners)] for i in range(count)]
        dict(runners[0].write_with(own, requests[:count], Cancellation()))
        started = time.monotonic()
        replies = dict(runners[0].write_with(own, requests[:count], Cancellation()))
        seconds = time.monotonic() - started
        tokens = sum(reply.tokens for reply in replies.values())
        found[f"replies_{count}"] = {
            "seconds": round(seconds, 3),
            "tokens": tokens,
            "tokens_per_second": round(tokens / seconds, 1),
            "truncated": sum(reply.truncated for reply in replies.values()),
            "cached_tokens": sum(reply.cached_tokens for reply in replies.values()),
            "prompt_tokens": sum(reply.prompt_tokens for reply in replies.values()),
        }
    return found


def _adapter_loads(gemma: LoadedGemma, adapter: Path) -> dict[str, float]:
    times = []
    with torch.inference_mode():
        for _ in range(5):
            started = time.monotonic()
            gemma._model.lora.load(gemma.plan.adapters - 1, adapter)
            torch.cuda.synchronize()
            times.append((time.monotonic() - started) * 1e3)
        gemma._model.lora.clear(gemma.plan.adapters - 1)
    return {"median": round(statistics.median(times), 1), "max": round(max(times), 1)}


def _peers(base: Path) -> dict[str, Any]:
    """transformers' generate, greedy, its dynamic cache: the same prompt, fewer new tokens."""
    from transformers import AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

    found: dict[str, Any] = {}
    real = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, attn_implementation="sdpa").cuda()
    found["270m"] = {f"batch_{b}": _generate(real, b, 24) for b in (1, 32)}
    del real
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = Gemma3ForCausalLM(Gemma3TextConfig(**_config_4b(), attn_implementation="sdpa")).eval()
    torch.set_default_dtype(torch.float32)
    found["4b"] = {f"batch_{b}": _generate(model, b, 24) for b in (1, 8, 32)}
    return found


def _generate(model: Any, batch: int, new: int) -> dict[str, Any]:
    ids = torch.randint(300, 200_000, (batch, PROMPT), device="cuda")

    def run(count: int) -> float:
        torch.cuda.synchronize()
        started = time.monotonic()
        model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False,
            eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        torch.cuda.synchronize()
        return time.monotonic() - started

    run(2)
    first, whole = statistics.median(run(1) for _ in range(3)), run(new)
    step = (whole - first) / (new - 1)
    return {
        "ttft_ms": round(first * 1e3, 1),
        "prefill_tokens_per_second": round(batch * PROMPT / first),
        "step_ms": round(step * 1e3, 2),
        "tokens_per_second": round(batch / step, 1),
    }


def _chunks(seed: int, count: int) -> Iterator[Chunk]:
    """Chunks of 16 added lines out of this project's own code, no two alike."""
    lines = [
        line.rstrip()
        for file in sorted(Path(__file__).parents[2].glob("engine/**/*.py"))
        for line in file.read_text("utf-8").splitlines()
        if line.strip()
    ]
    for number in range(count):
        start = (seed * 7919 + number * 13) % (len(lines) - 16)
        rows = tuple(
            DiffLine(LineKind.ADDED, line, None, i + 1) for i, line in enumerate(lines[start : start + 16])
        )
        yield Chunk(f"shop/orders_{seed}_{number}.py", "python", rows)


def _memory(shape: GemmaShape, plan: MemoryPlan) -> dict[str, Any]:
    return {
        "slots": plan.slots,
        "planned_gib": round(measured(shape, plan).total / 2**30, 2),
        "allocated_gib": round(torch.cuda.memory_allocated() / 2**30, 2),
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
    }


def _tensor_size(shape: GemmaShape, name: str) -> tuple[int, ...]:
    kind = name.split(".")[-2]
    widths = {
        "q_proj": (shape.q_width, shape.hidden), "k_proj": (shape.kv_width, shape.hidden),
        "v_proj": (shape.kv_width, shape.hidden), "o_proj": (shape.hidden, shape.q_width),
        "gate_proj": (shape.ffn, shape.hidden), "up_proj": (shape.ffn, shape.hidden),
        "down_proj": (shape.hidden, shape.ffn), "embed_tokens": (shape.vocab, shape.hidden),
        "q_norm": (shape.head_dim,), "k_norm": (shape.head_dim,),
    }  # fmt: skip
    return widths.get(kind, (shape.hidden,))


def _config_4b() -> dict[str, Any]:
    s = SHAPE_4B
    return {
        "vocab_size": s.vocab, "hidden_size": s.hidden, "intermediate_size": s.ffn,
        "num_hidden_layers": s.layers, "num_attention_heads": s.heads, "num_key_value_heads": s.kv_heads,
        "head_dim": s.head_dim, "query_pre_attn_scalar": 256, "sliding_window": s.window,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
        "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
    }  # fmt: skip


def _tokenizer_json() -> str:
    directory = Path(sys.argv[sys.argv.index("--base") + 1])
    return (directory / "tokenizer.json").read_text("utf-8")


def _median(call: Callable[[], object], repeats: int) -> float:
    """Seconds of a call and of what it started on the device."""
    times = []
    for _ in range(repeats + 3):
        torch.cuda.synchronize()
        started = time.monotonic()
        call()
        torch.cuda.synchronize()
        times.append(time.monotonic() - started)
    return statistics.median(times[3:])


@contextmanager
def _fresh_memory() -> Iterator[None]:
    import gc

    torch.cuda.reset_peak_memory_stats()
    yield
    gc.collect()
    torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
