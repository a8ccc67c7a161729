"""Unsloth against a well-configured TRL and PEFT run on one GPU, in one run, as JSON.

    python -m tests.benchmarks.unsloth_against_trl --base DIR --seconds 110 --output results.json
    python -m tests.benchmarks.unsloth_against_trl --dry-run --output dry.json    # a tiny model on the CPU

`--base` is a Hugging Face directory of the real Gemma 3 270M. The 4B shape has random weights: its figures
are speed and memory only. All train the same tokens in the same batches, bfloat16, a LoRA on all seven
projections, fused AdamW, no dropout, no recomputation. Rows are full to their length, just below the window
of the model's sliding layers, so that no stack pads and TRL's attention needs no mask: its fastest kernel.

When all have imported, first the cases of TRL, one after the other; then all of Unsloth take their
first steps side by side, which compile, and are measured one after the other. Import, loading and
compilation count for none, and are said. What is not ready in time is stopped and says so; results are
written as they come.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.finetune.sizes import ModelSize, read_size
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.training_case import Case

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "unsloth", "unsloth_zoo", "triton")
STACKS = ("trl", "trl-compiled", "unsloth", "unsloth-eager")
USUAL = "4b/trl,270m/trl,4b/unsloth,270m/unsloth,4b/unsloth-eager,270m/unsloth-eager"
RANK = 16
_MEASURING = 5.0  # seconds kept for each case that is still to be measured
_SHM = Path("/dev/shm")
_SHM_BYTES = 12e9  # the 4B shape, and some room

_4B = {
    "vocab_size": 262_208,
    "hidden_size": 2560,
    "intermediate_size": 10_240,
    "num_hidden_layers": 34,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "sliding_window": 1024,
    "max_position_embeddings": 131_072,
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    },
}
_TINY = {
    "vocab_size": 262_144,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "query_pre_attn_scalar": 16,
    "sliding_window": 64,
    "max_position_embeddings": 512,
    "layer_types": ["sliding_attention", "full_attention"],
}


@dataclass(frozen=True, slots=True)
class Model:
    """A model and the batches that it is trained on."""

    name: str
    weights: str  # real, random or tiny
    rows: int
    length: int
    steps: int


MODELS = {
    "270m": Model("270m", weights="real", rows=16, length=480, steps=20),
    "4b": Model("4b", weights="random", rows=4, length=960, steps=6),
}


@dataclass(slots=True)
class Process:
    """A case that runs."""

    case: Case
    model: Model
    process: subprocess.Popen[str]
    said: queue.Queue[dict[str, Any] | None] = field(default_factory=queue.Queue)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def let_go_on(self) -> None:
        """Let it begin its next stage."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("go on\n")
            self.process.stdin.flush()
        except BrokenPipeError:  # it failed, which `wait_for` notices
            return

    def wait_for(self, stage: str, deadline: float) -> bool:
        """Tell whether it says `stage` before `deadline`."""
        while stage not in self.stages:
            try:
                told = self.said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return False
            if told is None:
                self.said.put(None)
                return False
            self.stages[told.pop("stage")] = told
        return True

    def read(self) -> None:
        """Pass on what it says; for a thread."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.put(json.loads(line))
        self.said.put(None)

    def result(self) -> dict[str, Any]:
        """Return its stages, or how far it came and why it went no further."""
        if "measured" in self.stages:
            return {**self.stages["measured"], **self._before()}
        ended = self.process.poll()
        log = (Path(self.case.folder) / "log").read_text(errors="replace").strip().splitlines()
        why = f"ended with {ended}: {' | '.join(log[-3:])[-600:]}" if ended else "not ready in time"
        return {"failed": why, **self._before()}

    def _before(self) -> dict[str, Any]:
        imported, loaded = self.stages.get("imported", {}), self.stages.get("loaded", {})
        return {
            "import_seconds": imported.get("seconds"),
            "load_seconds": loaded.get("seconds"),
            "first_steps_seconds": self.stages.get("warm", {}).get("step_seconds"),
            **{name: loaded[name] for name in ("attention", "trained", "dtypes") if name in loaded},
        }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", type=Path, help="directory of the real 270M")
    parser.add_argument(
        "--cases", default=USUAL, help=f"MODEL/STACK of {', '.join(STACKS)}; default: {USUAL}"
    )
    parser.add_argument("--seconds", type=float, default=110.0, help="for all of it")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--dry-run", action="store_true", help="tiny models, CPU: the figures mean nothing")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare(arguments.prepare, arguments.base, arguments.dry_run)
        return
    wanted = [tuple(case.split("/")) for case in arguments.cases.split(",")]
    unknown = [case for case in wanted if len(case) != 2 or case[0] not in MODELS or case[1] not in STACKS]
    if unknown or not (arguments.dry_run or arguments.base):
        parser.error(f"unknown case {'/'.join(unknown[0])}" if unknown else "--base is needed")
    with tempfile.TemporaryDirectory(dir=_room()) as folder:
        run(arguments, [(model, stack) for model, stack in wanted], Path(folder))


def run(arguments: argparse.Namespace, wanted: Sequence[tuple[str, str]], folder: Path) -> None:
    """Run all cases within the time."""
    began = time.monotonic()
    deadline = began + arguments.seconds
    results: dict[str, Any] = {
        "about": _about(arguments.dry_run),
        "cases": {f"{model}/{stack}": {"failed": "not begun"} for model, stack in wanted},
    }

    def write() -> None:
        results["seconds"] = round(time.monotonic() - began, 1)
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")

    with ExitStack() as stack:
        preparing = _start_preparing(arguments, folder)
        stack.callback(_stop, preparing)
        started = [stack.enter_context(_started(arguments, model, kind, folder)) for model, kind in wanted]
        write()
        said, _ = preparing.communicate(timeout=max(1.0, deadline - time.monotonic()))
        if preparing.returncode:
            raise SystemExit(f"the models could not be prepared: exit code {preparing.returncode}")
        results["card"] = json.loads(said.splitlines()[-1])
        bases = {"270m": folder / "270m" if arguments.dry_run else arguments.base, "4b": folder / "4b"}

        def keep(one: Process) -> None:
            result = one.result()
            result |= _figures(result, one.model, read_size(bases[one.model.name]), results["card"])
            results["cases"][one.case.name] = result
            write()
            print(f"{one.case.name}: {json.dumps(result)}", flush=True)

        for one in started:  # whose imports would disturb what is measured first
            one.wait_for("imported", deadline)
        plain = [one for one in started if one.case.stack.startswith("trl")]
        others = [one for one in started if one not in plain]
        for one in plain:
            _measure([one], deadline - _MEASURING * len(others), deadline, keep)
        _measure(others, deadline - _MEASURING * len(others), deadline, keep)
    print(f"{results['seconds']} s, {arguments.output}")


def _measure(processes: Sequence[Process], warm_by: float, deadline: float, keep: Any) -> None:
    """Let all compile at once, then measure one after the other those that are ready."""
    for one in processes:
        if one.wait_for("imported", warm_by):
            one.let_go_on()
    ready = [one for one in processes if one.wait_for("warm", warm_by)]
    for one in processes:
        if one not in ready:
            keep(one)
            _stop(one.process)
    for one in ready:
        one.let_go_on()
        one.wait_for("measured", deadline)
        keep(one)
        _stop(one.process)


def _figures(result: dict[str, Any], model: Model, size: ModelSize, card: dict[str, Any]) -> dict[str, Any]:
    """Speed, and the share of the card's own speed that the arithmetic of a step comes to."""
    about = {"weights": model.weights, "rows": model.rows, "length": model.length}
    if "step_ms" not in result:
        return about
    tokens, seconds = model.rows * model.length, result["step_ms"] / 1e3
    operations = size.operations(tokens, tokens, model.length)
    peak = card.get("matmul_tflop_s")
    return about | {
        "tokens_per_second": round(tokens / seconds),
        "mfu": round(operations / seconds / (peak * 1e12), 3) if peak else None,
    }


@contextmanager
def _started(arguments: argparse.Namespace, name: str, stack: str, folder: Path) -> Iterator[Process]:
    model, dry = MODELS[name], arguments.dry_run
    if dry:
        model = replace(model, weights="tiny", rows=2, length=48, steps=2)
    base = arguments.base.resolve() if model.weights == "real" else folder / name
    case = Case(
        name=f"{name}/{stack}",
        stack=stack,
        base=str(base),
        rows=model.rows,
        length=model.length,
        checkpoints=False,
        warm=2 if dry else 3,
        steps=model.steps,
        rank=RANK,
        folder=str(folder / f"{name}-{stack}"),
        dry=dry,
    )
    Path(case.folder).mkdir()
    with (Path(case.folder) / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.training_case", json.dumps(asdict(case))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=_environment(case),
        )  # fmt: skip
        one = Process(case, model, process)
        threading.Thread(target=one.read, daemon=True).start()
        try:
            yield one
        finally:
            _stop(process)


def _environment(case: Case) -> dict[str, str]:
    """Without CUDA_VISIBLE_DEVICES, Unsloth compiles with one worker in a container that names its GPUs."""
    environment = dict(os.environ)
    environment.setdefault("CUDA_VISIBLE_DEVICES", "0")
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")])),
        "TOKENIZERS_PARALLELISM": "false",
        "UNSLOTH_COMPILE_LOCATION": f"{case.folder}/unsloth",
        "UNSLOTH_DISABLE_AUTO_PADDING_FREE": "1",
    }
    if case.stack == "unsloth-eager":
        environment["UNSLOTH_COMPILE_DISABLE"] = "1"
    return environment


def _start_preparing(arguments: argparse.Namespace, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.unsloth_against_trl", "--prepare", str(folder)]
    command += ["--output", str(arguments.output)]
    command += ["--dry-run"] if arguments.dry_run else ["--base", str(arguments.base)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def prepare(folder: Path, base: Path | None, dry: bool) -> None:
    """Write what all cases read: tokens of real text, and the models that are made here; print the card."""
    import torch

    card: dict[str, Any] = {"name": "cpu"}
    if not dry:
        a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in "ab")
        card = {"name": torch.cuda.get_device_name(), "matmul_tflop_s": round(_product_tflops(a, b))}
        del a, b
    if dry:
        from engine.finetune.base import hf_tokenizer
        from engine.models import base_model
        from engine.settings import load_settings

        settings = load_settings()
        tokenizer = hf_tokenizer(base_model(settings.cache_dir, settings.model_path), settings.cache_dir)
        write_model(folder / "270m", _TINY, tokenizer)
    else:
        assert base is not None
        tokenizer = base
    write_model(folder / "4b", _TINY if dry else _4B, tokenizer)
    part = folder / "part.json"
    part.write_text(json.dumps(_tokens_of_text(tokenizer / "tokenizer.json", 5_000 if dry else 250_000)))
    part.replace(folder / "rows.json")
    print(json.dumps(card))


def _product_tflops(a: Any, b: Any) -> float:
    import torch

    times = []
    for _ in range(13):
        torch.cuda.synchronize()
        began = time.monotonic()
        _ = a @ b
        torch.cuda.synchronize()
        times.append(time.monotonic() - began)
    return 2 * 8192**3 / sorted(times[3:])[5] / 1e12


def write_model(directory: Path, values: dict[str, Any], tokenizer: Path) -> None:
    """Write a Gemma 3 with random weights in bfloat16, and the tokenizer of another."""
    import torch
    from safetensors.torch import save_file
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    config = Gemma3TextConfig(**values, bos_token_id=2, eos_token_id=1, pad_token_id=0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    with torch.device("meta"):
        shape = Gemma3ForCausalLM(config).state_dict()
    weights = {
        name: torch.zeros(tensor.shape, dtype=torch.bfloat16)
        if "norm" in name
        else torch.empty(tensor.shape, dtype=torch.bfloat16, device=device).normal_(0, 0.02).cpu()
        for name, tensor in shape.items()
        if name != "lm_head.weight"
    }
    directory.mkdir()
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    described = config.to_dict() | {"architectures": ["Gemma3ForCausalLM"], "dtype": "bfloat16"}
    (directory / "config.json").write_text(json.dumps(described))
    generation = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    (directory / "generation_config.json").write_text(json.dumps(generation))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (tokenizer / name).exists():
            shutil.copyfile(tokenizer / name, directory / name)


def _tokens_of_text(tokenizer: Path, wanted: int) -> list[int]:
    """Tokens of Python's own library: text that the real model knows how to read."""
    from tokenizers import Tokenizer

    encode = Tokenizer.from_file(str(tokenizer))
    tokens: list[int] = []
    for path in sorted(Path(os.__file__).parent.glob("*.py")):
        tokens += encode.encode(path.read_text("utf-8", errors="ignore"), add_special_tokens=False).ids
        if len(tokens) >= wanted:
            break
    return tokens[:wanted]


def _about(dry: bool) -> dict[str, Any]:
    return {
        **describe_machine(PACKAGES),
        **({"dry_run": "tiny models on a CPU; the figures mean nothing"} if dry else {}),
        "adapter": f"LoRA of rank {RANK} on all seven projections, float32",
        "precision": "float32" if dry else "bfloat16",
        "tokens_per_second": "of the median measured step, all tokens labelled",
        "mfu": "forward and input gradients, against the card's product of 8192 x 8192 matrices",
        "unsloth-eager": "Unsloth with UNSLOTH_COMPILE_DISABLE=1",
    }


def _room() -> Path | None:
    """Memory for the 4B shape's weights where there is enough of it, else the usual temporary directory."""
    if _SHM.is_dir() and shutil.disk_usage(_SHM).free > _SHM_BYTES:
        return _SHM
    return None


if __name__ == "__main__":
    main()
