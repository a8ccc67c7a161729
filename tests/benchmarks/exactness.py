"""Whether runners choose the tokens that transformers chooses in float32, given the same text before each.

    python -m tests.benchmarks.exactness reference --base DIR --output reference.json
    python -m tests.benchmarks.exactness torch --base DIR --precision bfloat16 --reference reference.json
    python -m tests.benchmarks.exactness llama --reference reference.json

The reference writes 100 tokens greedily after each of five prompts, on the real 270M without an adapter. Each
runner is then shown every beginning of that text; what counts is how often its most probable token is the
same. Where it is not, the reference's own margin says how close the two tokens were.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

NEW = 100
_ENDED = -1  # no token: llama.cpp says nothing of the one that ends a text
PROMPTS = (
    "def fibonacci(n):\n",
    "import json\n\n\ndef load(path):\n    ",
    "public class Order {\n    private final String id;\n",
    "The review of this change found that",
    "この関数は、",
)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["reference", "torch", "llama"])
    parser.add_argument("--base", type=Path, help="Hugging Face directory of the real 270M")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16", "nf4"])
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "reference":
        results: Any = _reference(arguments.base)
    else:
        reference = json.loads(arguments.reference.read_text())
        sides = _torch(arguments, reference) if arguments.what == "torch" else _llama(reference)
        results = {
            "about": _about(arguments),
            "agreement": {n: _agreement(reference, s) for n, s in sides.items()},
        }
    text = json.dumps(results, indent=None if arguments.what == "reference" else 1) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    else:
        sys.stdout.write(text)


def _reference(base: Path) -> list[dict[str, Any]]:
    """Prompts and what follows them, with the margin of each choice in nats."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval().to(device)
    texts = []
    for prompt in PROMPTS:
        ids = [2, *tokenizer.encode(prompt, add_special_tokens=False).ids]
        with torch.inference_mode():
            made = model.generate(
                torch.tensor([ids], device=device), max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False,
                output_logits=True, return_dict_in_generate=True,
            )  # fmt: skip
        tokens = made.sequences[0, len(ids) :].tolist()
        texts.append(
            {
                "prompt": ids,
                "tokens": tokens,
                "margins": [
                    _margin(logits[0], token) for logits, token in zip(made.logits, tokens, strict=True)
                ],
            }
        )
    return texts


def _margin(logits: Any, token: int) -> float | None:
    """How far the token is ahead of the next, in nats; None where the text would have ended instead."""
    best, second = logits.log_softmax(-1).topk(2).values.tolist()
    return round(best - second, 3) if int(logits.argmax()) == token else None


def _torch(arguments: argparse.Namespace, reference: Sequence[dict[str, Any]]) -> dict[str, list[list[int]]]:
    """The choices of a pass over the prompt and of steps from token to token."""
    import numpy as np
    import torch

    from engine.runners.gemma.decoding import RowState
    from engine.runners.gemma.loaded import LoadedGemma, Prompt
    from engine.runners.gemma.shape import read_shape
    from engine.runners.torch_opening import TorchOptions, default_device, plan_for

    shape = read_shape(arguments.base)
    assert shape is not None
    options = TorchOptions(default_device(), arguments.precision, context=1024)
    gemma = LoadedGemma.load(arguments.base, shape, plan_for(shape, options), options.device)
    decoder = gemma._decoder
    read, stepped = [], []
    with torch.inference_mode():
        decoder.masks.fill_(-1)
        for text in reference:
            start, whole = len(text["prompt"]), np.array(text["prompt"] + text["tokens"], np.int32)
            wanted = tuple(range(start - 1, len(whole) - 1))
            ((_, hidden, _),) = gemma.read([Prompt(whole, 0, wanted, -1)])
            read.append(gemma._model.logits(hidden).argmax(-1).tolist())
            ((_, hidden, _),) = gemma.read([Prompt(whole[:start], 0, (start - 1,), -1)])
            next(gemma._read_in_halves([Prompt(whole[:start], 0, (start - 1,), -1)], 0, [0]))
            chosen = decoder.choose_first(hidden)
            for place, token in enumerate(text["tokens"][:-1], start):
                decoder.start([RowState(token, place, 0, -1)])
                chosen += decoder.choose(1)
            stepped.append(chosen)
    return {"pass": read, "steps": stepped}


def _llama(reference: Sequence[dict[str, Any]]) -> dict[str, list[list[int]]]:
    from engine.models import base_model
    from engine.runners.llama import LlamaRunner

    runner = LlamaRunner(base_model())
    chosen = [
        [_llama_token(runner, text["prompt"] + text["tokens"][:n]) for n in range(len(text["tokens"]))]
        for text in reference
    ]
    return {"requests": chosen}


def _llama_token(runner: Any, ids: list[int]) -> int:
    asked = {"n_predict": 1, "n_probs": 1, "post_sampling_probs": True, "samplers": ["top_k"], "top_k": 1}
    made = runner._server.complete(runner._body(ids, 0, None) | asked, lambda: False)
    return int(max(made.probabilities, key=made.probabilities.get, default=_ENDED))


def _agreement(reference: Sequence[dict[str, Any]], chosen: Sequence[Sequence[int]]) -> dict[str, Any]:
    pairs = [
        (own == token, margin)
        for text, row in zip(reference, chosen, strict=True)
        for own, token, margin in zip(row, text["tokens"], text["margins"], strict=True)
        if margin is not None
    ]
    margins = sorted(margin for same, margin in pairs if not same)
    return {
        "tokens": len(pairs),
        "same": sum(same for same, _ in pairs),
        "largest_margin_where_not": margins[-1] if margins else None,
        "margins_where_not": margins,
    }


def _about(arguments: argparse.Namespace) -> dict[str, Any]:
    versions = {}
    for name in ("torch", "transformers", "triton", "bitsandbytes", "xllamacpp"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    runner = arguments.what if arguments.what == "llama" else f"torch {arguments.precision}"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "runner": runner,
        "device": _device(),
        "versions": versions,
    }


def _device() -> str:
    try:
        import torch
    except ImportError:
        return platform.machine()
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.machine()


if __name__ == "__main__":
    main()
