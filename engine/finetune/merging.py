"""Several adapters -> one, merged by PEFT. No base model is loaded: the factors' shapes say enough.

What comes out is another model than any that went in, so it has no calibration and no scores: it is a
candidate that has to be measured before it may serve.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.adapter_files import check_adapter
from engine.adapters import CARD, CONFIG, WEIGHTS, Adapter, Manifest, load_adapter, write_manifest
from engine.errors import AdapterConflict, AdapterError, InputError, unimportable

if TYPE_CHECKING:
    import torch

_MERGED = "merged"
_PREFIX = "base_model.model."


class MergeMethod(StrEnum):
    """How adapters are combined."""

    CAT = "cat"  # exact: the effects are added, and so are the ranks
    LINEAR = "linear"  # factors are added: keeps the rank, a rough approximation
    TIES = "ties"  # trimmed, signs elected
    DARE_LINEAR = "dare_linear"  # thinned at random, rescaled


def merge_adapters(
    sources: Sequence[Path],
    out: Path,
    name: str,
    method: MergeMethod,
    *,
    weights: Sequence[float] = (),
    density: float = 0.5,
    seed: int = 0,
) -> Adapter:
    """Return the adapter that `sources` merge to, in the new directory `out`.

    `weights` are 1 each if not given; `density` is the part of the values that `ties` and `dare_linear`
    keep. Raises AdapterError where the adapters do not go together: another base, or unequal ranks for
    any method but `cat`.
    """
    weights = tuple(weights) or (1.0,) * len(sources)
    _check_request(sources, weights, density)
    if out.exists():
        raise AdapterConflict(f"{out} exists already")
    adapters = [check_adapter(source) for source in sources]
    _check_base(adapters)
    tensors, config = _merge(adapters, method, weights, density, seed)
    manifest = _manifest(adapters, name, method, weights, density, seed, int(config.r))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".merging-") as scratch:
        made = Path(scratch) / out.name
        made.mkdir()
        _write(made, tensors, config, manifest)
        shutil.move(made, out)
    return load_adapter(out)


def _check_request(sources: Sequence[Path], weights: Sequence[float], density: float) -> None:
    if len(sources) < 2:
        raise InputError("a merge needs two adapters or more")
    if len(weights) != len(sources):
        raise InputError(f"{len(weights)} weights for {len(sources)} adapters")
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise InputError("weights have to be above 0")
    if not 0 < density < 1:
        raise InputError(f"density {density} is not between 0 and 1")


def _check_base(adapters: Sequence[Adapter]) -> None:
    first = adapters[0].manifest
    for adapter in adapters[1:]:
        if adapter.manifest.base_sha256 != first.base_sha256:
            raise AdapterError(
                f"{adapter.version} is made for {adapter.manifest.base_model}, {adapters[0].version} for "
                f"{first.base_model}: they do not share a base"
            )


def _merge(
    adapters: Sequence[Adapter], method: MergeMethod, weights: Sequence[float], density: float, seed: int
) -> tuple[dict[str, torch.Tensor], Any]:
    """Return the merged factors and their PEFT configuration."""
    try:
        import torch
        from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
        from safetensors.torch import load_file
    except ImportError as missing:
        raise unimportable(missing, "peft", "train") from missing
    loaded = [load_file(adapter.path / WEIGHTS) for adapter in adapters]
    configs = [LoraConfig.from_pretrained(adapter.path) for adapter in adapters]
    task = configs[0].task_type
    for config in configs:
        config.task_type = None  # what the model is for would have to be a model
    names = [f"source{index}" for index in range(len(adapters))]
    model = PeftModel(_skeleton(loaded), configs[0], names[0])
    for adapter_name, config, tensors in zip(names, configs, loaded, strict=True):
        if adapter_name != names[0]:
            model.add_adapter(adapter_name, config)
        set_peft_model_state_dict(model, tensors, adapter_name)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        options = {} if method in (MergeMethod.CAT, MergeMethod.LINEAR) else {"density": density}
        try:
            model.add_weighted_adapter(
                names, list(weights), _MERGED, combination_type=method.value, **options
            )
        except ValueError as error:
            raise AdapterError(f"these adapters cannot be merged by {method}: {error}") from error
    dtype = next(iter(loaded[0].values())).dtype
    state = get_peft_model_state_dict(model, adapter_name=_MERGED)
    merged = {key: value.to(dtype).contiguous() for key, value in state.items()}
    config = model.peft_config[_MERGED]
    config.task_type = task
    # The sources' scales are in the factors now; PEFT copies the flag and would scale by the root once more.
    config.use_rslora = False
    return merged, config


def _skeleton(adapters: Sequence[dict[str, torch.Tensor]]) -> torch.nn.Module:
    """Return a model with a linear layer wherever an adapter has factors, and no weights worth the memory."""
    import torch

    root = torch.nn.Module()
    for tensors in adapters:
        for key in sorted(tensors):
            path, side, _ = key.partition(".lora_A.")
            if side:
                outputs = tensors[f"{path}.lora_B.weight"].shape[0]
                _add_linear(root, path.removeprefix(_PREFIX).split("."), tensors[key].shape[1], outputs)
    return root


def _add_linear(root: torch.nn.Module, path: list[str], inputs: int, outputs: int) -> None:
    import torch

    *parents, last = path
    module = root
    for part in parents:
        if not hasattr(module, part):
            module.add_module(part, torch.nn.Module())
        module = getattr(module, part)
    if not hasattr(module, last):
        layer = torch.nn.Linear(1, 1, bias=False)
        layer.in_features, layer.out_features = inputs, outputs
        layer.weight = torch.nn.Parameter(torch.zeros(1, 1).expand(outputs, inputs), requires_grad=False)
        module.add_module(last, layer)


def _manifest(
    adapters: Sequence[Adapter],
    name: str,
    method: MergeMethod,
    weights: Sequence[float],
    density: float,
    seed: int,
    rank: int,
) -> Manifest:
    first = adapters[0].manifest
    tasks = [task for task in first.tasks if all(task in adapter.manifest.tasks for adapter in adapters)]
    if not tasks:
        raise AdapterError("these adapters have no task in common")
    merge = {
        "method": method.value,
        "adapters": [adapter.version for adapter in adapters],
        "weights": list(weights),
        "density": density,
    }
    return Manifest.model_validate(
        {
            "name": name,
            "base_model": first.base_model,
            "base_sha256": first.base_sha256,
            "dtype": first.dtype,
            "tasks": tasks,
            "rank": rank,
            "settings": {"merge": merge},
            "versions": {library: version(library) for library in ("peft", "torch")},
            "seed": seed,
            "languages": sorted(
                {language for adapter in adapters for language in adapter.manifest.languages}
            ),
            "licence": "; ".join(dict.fromkeys(adapter.manifest.licence for adapter in adapters)),
        }
    )


def _write(directory: Path, tensors: dict[str, torch.Tensor], config: Any, manifest: Manifest) -> None:
    from safetensors.torch import save_file

    save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
    config.save_pretrained(directory)
    (directory / CARD).write_text(_card(manifest), encoding="utf-8")
    extra = {path.name for path in directory.iterdir()} - {WEIGHTS, CONFIG, CARD}
    assert not extra, extra
    write_manifest(directory, manifest)


def _card(manifest: Manifest) -> str:
    merge = manifest.settings["merge"]
    assert isinstance(merge, dict)
    sources = merge["adapters"]
    assert isinstance(sources, list)
    listed = "".join(f"- {source}\n" for source in sources)
    return (
        f"# {manifest.name}\n\nFor {manifest.base_model}, merged by `{merge['method']}` from\n\n"
        f"{listed}\nNot calibrated and not measured: evaluate it before it is promoted.\n\n"
        f"Licence: {manifest.licence}\n"
    )
