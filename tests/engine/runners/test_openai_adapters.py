"""Adapters on vLLM: refused early, called after their content, loaded once, never in place."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from vllm_server import Fault, VllmServer, serving_vllm

from engine.connecting import Address, Connect
from engine.errors import AdapterError
from engine.runners.openai_adapters import check_servable, load, publish, unload
from engine.runners.openai_calls import Hangup
from engine.runners.openai_server import OpenAIServer, Unusable
from engine.testing import lora_config

pytest.importorskip("filelock")


def write_adapter(
    directory: Path, *, seed: int = 0, module: str = "base_model.model.model.layers.0", **config: object
) -> Path:
    """Fill `directory` with a LoRA of one projection, without any library."""
    directory.mkdir(parents=True)
    tensors = {
        f"{module}.self_attn.q_proj.lora_{side}.weight": {
            "dtype": "F32",
            "shape": [1, 1],
            "data_offsets": [4 * n, 4 * n + 4],
        }
        for n, side in enumerate("AB")
    }
    header = json.dumps(tensors).encode()
    values = struct.pack("<2f", seed + 1, 1)
    (directory / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + values)
    (directory / "adapter_config.json").write_text(json.dumps(lora_config(8) | config))
    (directory / "README.md").write_text("not for the servers")
    return directory


@pytest.fixture
def vllm() -> Iterator[VllmServer]:
    """A server."""
    with serving_vllm() as server:
        yield server


@pytest.fixture
def client(vllm: VllmServer) -> Iterator[OpenAIServer]:
    """A client of it."""
    server = OpenAIServer(Connect(Address.parse(vllm.url)))
    yield server
    server.close()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"use_dora": True}, r"DoRA \(use_dora\)"),
        ({"lora_bias": True}, "lora_bias"),
        ({"bias": "all"}, "bias=all"),
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"alora_invocation_tokens": [1]}, "activated LoRA"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"use_qalora": True}, "QALoRA"),
        ({"use_bdlora": {"a": 1}}, "block-diagonal"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights=pissa"),
        ({"init_lora_weights": "olora"}, "init_lora_weights=olora"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"r": 1024}, "1024"),
        ({"r": 0}, "not all between 1 and 512"),
        ({"rank_pattern": {"q_proj": 600}}, "600"),
        ({"r": "many"}, "no LoRA configuration"),
    ],
)
def test_what_vllm_rejects_is_refused_here(tmp_path: Path, config: dict[str, object], reason: str) -> None:
    """With the reason, before any server is asked."""
    with pytest.raises(AdapterError, match=reason):
        publish(write_adapter(tmp_path / "adapter", **config), tmp_path / "served")
    assert not (tmp_path / "served").exists()


@pytest.mark.parametrize(
    "config",
    [
        {"use_rslora": True},
        {"init_lora_weights": "gaussian"},
        {"rank_pattern": {"q_proj": 4}, "alpha_pattern": {"q_proj": 8}},
    ],
)
def test_what_vllm_serves_is_taken(tmp_path: Path, config: dict[str, object]) -> None:
    """Scales and ranks by module, and starts that leave the base alone."""
    check_servable(write_adapter(tmp_path / "adapter", **config))


def test_names_are_made_of_the_content(tmp_path: Path) -> None:
    """The same content has one name wherever it is, and another content another."""
    shared = tmp_path / "served"
    same = [publish(write_adapter(tmp_path / name), shared).name for name in ("a", "b")]
    other = publish(write_adapter(tmp_path / "c", seed=1), shared).name
    scaled = publish(write_adapter(tmp_path / "d", lora_alpha=1), shared).name
    assert same[0] == same[1]
    assert len({same[0], other, scaled}) == 3
    assert all(name.startswith("tenken-") and len(name) == 39 for name in (*same, other, scaled))


def test_only_what_is_read_is_published(tmp_path: Path) -> None:
    """Two files, under the name; a second time nothing is written."""
    source, shared = write_adapter(tmp_path / "adapter"), tmp_path / "served"
    served = publish(source, shared)
    folder = shared / served.name
    assert served.path == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    before = folder.stat().st_mtime_ns
    publish(source, shared)
    assert folder.stat().st_mtime_ns == before


def test_servers_may_see_the_directory_elsewhere(tmp_path: Path) -> None:
    """A volume that is mounted at another place in their container."""
    served = publish(write_adapter(tmp_path / "adapter"), tmp_path / "served", PurePosixPath("/adapters"))
    assert served.path == f"/adapters/{served.name}"


def test_loading_twice_is_loading_once(vllm: VllmServer, client: OpenAIServer, tmp_path: Path) -> None:
    """A server that has the adapter already is not asked again, and nothing is loaded in place."""
    served = publish(write_adapter(tmp_path / "adapter"), tmp_path / "served")
    assert [load(client, served, Hangup()) for _ in range(2)] == [True, False]
    assert vllm.asked("/v1/load_lora_adapter") == [{"lora_name": served.name, "lora_path": served.path}]
    unload(client, served, Hangup())
    unload(client, served, Hangup())
    assert vllm.loaded == {}


def test_another_engine_may_be_faster(vllm: VllmServer, client: OpenAIServer, tmp_path: Path) -> None:
    """What was loaded between looking and loading is there all the same."""
    served = publish(write_adapter(tmp_path / "adapter"), tmp_path / "served")
    vllm.faults["/v1/models"] = [Fault(body={"data": []})]
    vllm.loaded[served.name] = served.path
    assert load(client, served, Hangup()) is False


def test_a_name_at_another_place_is_refused(vllm: VllmServer, client: OpenAIServer, tmp_path: Path) -> None:
    """Somebody else used a name of ours."""
    served = publish(write_adapter(tmp_path / "adapter"), tmp_path / "served")
    vllm.loaded[served.name] = "/evil"
    with pytest.raises(AdapterError, match="/evil"):
        load(client, served, Hangup())


def test_why_a_server_cannot_load_is_told(vllm: VllmServer, client: OpenAIServer, tmp_path: Path) -> None:
    """A rank over its limit, a directory that it does not see, no route at all."""
    wide = publish(write_adapter(tmp_path / "wide", r=64), tmp_path / "served")
    with pytest.raises(AdapterError, match="rank 64 is greater than max_lora_rank 32"):
        load(client, wide, Hangup())
    hidden = publish(write_adapter(tmp_path / "plain"), tmp_path / "served", PurePosixPath("/nowhere"))
    with pytest.raises(AdapterError, match=r"from /nowhere/tenken-\w+: .*No adapter found"):
        load(client, hidden, Hangup())
    vllm.runtime_lora = False
    with pytest.raises(AdapterError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"):
        load(client, hidden, Hangup())


def test_a_server_that_breaks_off_is_not_the_adapters_fault(
    vllm: VllmServer, client: OpenAIServer, tmp_path: Path
) -> None:
    """Another one may load it."""
    served = publish(write_adapter(tmp_path / "adapter"), tmp_path / "served")
    vllm.faults["/v1/load_lora_adapter"] = [Fault(502, b"")]
    with pytest.raises(Unusable, match="502"):
        load(client, served, Hangup())
