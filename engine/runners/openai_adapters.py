"""Adapters on vLLM: what it would refuse is refused here, with a reason; names are ours alone.

vLLM reads an adapter from a directory that it shares with this engine, and takes whatever is called the same
for the same: its prefix cache is keyed by name and path. So an adapter is put there under a name made of its
content, as just the two files that are read, and never changed or loaded in place.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any

from engine.adapters import CONFIG, WEIGHTS
from engine.cache import build_once
from engine.errors import AdapterError
from engine.probes import Probe
from engine.runners.openai_api import read_models
from engine.runners.openai_calls import Hangup
from engine.runners.openai_server import OpenAIServer, Refused, Unusable
from engine.sanitize import one_line

MAX_RANK = 512
"""The highest rank that --max-lora-rank can be set to."""

_REFUSED = {  # setting -> what it is called; vllm/lora/peft_helper.py, PEFTHelper._validate_features, 0.33
    "use_dora": "DoRA",
    "lora_bias": "trained biases",
    "modules_to_save": "fully trained modules",
    "alora_invocation_tokens": "activated LoRA",
    "layer_replication": "replicated layers",
    "use_bdlora": "block-diagonal LoRA",
    "use_qalora": "QALoRA",
    # Passed over there without a word, though each changes what the adapter does.
    "fan_in_fan_out": "transposed weights",
    "trainable_token_indices": "trained tokens",
    "target_parameters": "trained parameters outside of modules",
}
_PLAIN_STARTS = {"gaussian", "eva", "orthogonal", "mica", "lora_ga"}  # leave the base model as it is


@dataclass(frozen=True, slots=True)
class ServedAdapter:
    """An adapter where the servers find it."""

    source: Path
    name: str  # what the servers call it
    path: str  # where it is, as they see it
    probe: Probe | None = field(default=None, compare=False, repr=False)  # what it did when it was made


def check_servable(directory: Path) -> None:
    """Raise AdapterError for an adapter that vLLM refuses or would serve as something else."""
    path = directory / CONFIG
    try:
        config = json.loads(path.read_bytes())
        rank = int(config["r"])
    except OSError as error:
        raise AdapterError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise AdapterError(f"{path} is no LoRA configuration: {error!r}") from error
    for fault in _faults(config, rank):
        raise AdapterError(f"{directory} has {fault}, which vLLM does not serve")


def publish(
    directory: Path, shared: Path, seen_as: PurePosixPath | None = None, probe: Probe | None = None
) -> ServedAdapter:
    """Put the PEFT directory into `shared`, once for each content; the servers see that as `seen_as`."""
    check_servable(directory)
    digest = hashlib.sha256()
    for file in (CONFIG, WEIGHTS):
        digest.update(hashlib.sha256(_read(directory / file)).digest())
    name = f"tenken-{digest.hexdigest()[:32]}"
    build_once(shared / name, lambda made: _copy(directory, made), error=AdapterError)
    return ServedAdapter(directory, name, str((seen_as or PurePosixPath(shared.absolute())) / name), probe)


def load(server: OpenAIServer, adapter: ServedAdapter, hangup: Hangup) -> bool:
    """Have the server load the adapter; False if it has it. Raises AdapterError saying why it cannot."""
    known = read_models(server.get("/v1/models", hangup)).get(adapter.name)
    if known is not None:
        if known.root != adapter.path:
            root = one_line(str(known.root))
            raise AdapterError(f"{server.url} has another {adapter.name}, from {root}: unload it there")
        return False
    try:
        server.post("/v1/load_lora_adapter", {"lora_name": adapter.name, "lora_path": adapter.path}, hangup)
    except Refused as refusal:
        if "already been loaded" in str(refusal):  # by another engine, just now
            return False
        raise AdapterError(_why(server, adapter, str(refusal))) from refusal
    except Unusable as failure:
        # What is wrong with an adapter, such as a rank over --max-lora-rank, is an internal error to vLLM.
        if failure.status != HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        raise AdapterError(_why(server, adapter, str(failure))) from failure
    return True


def unload(server: OpenAIServer, adapter: ServedAdapter, hangup: Hangup) -> None:
    """Have the server forget the adapter; one that it does not know is no error."""
    try:
        server.post("/v1/unload_lora_adapter", {"lora_name": adapter.name}, hangup)
    except Refused:
        return


def _faults(config: dict[str, Any], rank: int) -> list[str]:
    faults = [f"{meaning} ({setting})" for setting, meaning in _REFUSED.items() if config.get(setting)]
    if config.get("peft_type", "LORA") != "LORA":
        faults.append(f"the type {config['peft_type']}")
    if config.get("bias", "none") != "none":
        faults.append(f"trained biases (bias={config['bias']})")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower() not in _PLAIN_STARTS:
        faults.append(f"a start that changes the base model (init_lora_weights={start})")
    ranks = [rank, *(config.get("rank_pattern") or {}).values()]
    if not all(isinstance(each, int) and 1 <= each <= MAX_RANK for each in ranks):
        faults.append(f"ranks {ranks} that are not all between 1 and {MAX_RANK}")
    return faults


def _why(server: OpenAIServer, adapter: ServedAdapter, reason: str) -> str:
    if reason == HTTPStatus.NOT_FOUND.phrase:
        return (
            f"{server.url} has no route to load adapters: start vLLM with --enable-lora and "
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
        )
    return f"{server.url} cannot load {adapter.source} from {adapter.path}: {reason}"


def _copy(directory: Path, made: Path) -> None:
    made.mkdir()
    for file in (CONFIG, WEIGHTS):
        shutil.copyfile(directory / file, made / file)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AdapterError(f"cannot read {path}: {error.strerror}") from error
