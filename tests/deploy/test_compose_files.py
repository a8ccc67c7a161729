"""The compose files are valid, fit together, and let nothing out that need not get out."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bot.settings import BotSettings
from engine.settings import EngineSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = {name: DEPLOY / "compose" / f"{name}.yaml" for name in ("cpu", "gpu", "postgres")}
SCHEMA = json.loads(
    (resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text(
        "utf-8"
    )
)
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
_KNOWN = {f"ENGINE_{name.upper()}" for name in EngineSettings.model_fields} | {
    f"BOT_{name.upper()}" for name in BotSettings.model_fields
}
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::?([-?])([^}]*))?\}")


def read(name: str) -> Any:
    return yaml.safe_load(FILES[name].read_text("utf-8"))


def together(*names: str) -> dict[str, Any]:
    """Return what compose makes of several files: mappings and lists grow, the rest is replaced."""

    def merged(first: Any, second: Any) -> Any:
        if isinstance(first, dict) and isinstance(second, dict):
            keys = dict.fromkeys((*first, *second))
            return {
                key: merged(first[key], second[key])
                if key in first and key in second
                else second.get(key, first.get(key))
                for key in keys
            }
        return [*first, *second] if isinstance(first, list) and isinstance(second, list) else second

    result: Any = {}
    for name in names:
        result = merged(result, read(name))
    return dict(result)


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_what_compose_reads(name: str) -> None:
    """By the schema of the compose specification."""
    errors = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in VALIDATOR.iter_errors(read(name))
    ]
    assert errors == []


def test_the_schema_refuses_what_is_misspelt() -> None:
    """Else the test above could not fail."""
    wrong = read("cpu")
    wrong["services"]["bot"]["read_olny"] = True
    assert not VALIDATOR.is_valid(wrong)


@pytest.mark.parametrize("names", [("cpu",), ("cpu", "gpu"), ("cpu", "postgres"), ("cpu", "gpu", "postgres")])
def test_all_that_is_named_is_there(names: tuple[str, ...]) -> None:
    """Networks, volumes, secrets and services, whichever files are used together."""
    whole = together(*names)
    for service in whole["services"].values():
        assert set(service.get("networks", ())) <= set(whole["networks"])
        assert set(service.get("secrets", ())) <= set(whole["secrets"])
        assert set(service.get("depends_on", ())) <= set(whole["services"])
        for volume in service.get("volumes", ()):
            if isinstance(volume, str):
                assert volume.split(":")[0] in whole["volumes"]


@pytest.mark.parametrize("names", [("cpu",), ("cpu", "gpu", "postgres")])
def test_every_container_is_confined(names: tuple[str, ...]) -> None:
    """Read-only, without root, capabilities and new privileges, with limits; only the bot has a way out."""
    whole = together(*names)
    assert whole["networks"]["inside"]["internal"] is True
    for name, service in whole["services"].items():
        assert service["read_only"] is True
        assert service["user"].split(":")[0] not in ("", "0", "root")
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["mem_limit"]
        assert service["pids_limit"]
        assert service["networks"] == (["inside", "gitlab"] if name == "bot" else ["inside"])
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_the_firewalls_rules_are_for_these_bridges() -> None:
    """Each network's bridge has a name, and egress.md has rules for it towards other machines or this one."""
    bridges = {
        name: network["driver_opts"]["com.docker.network.bridge.name"]
        for name, network in read("cpu")["networks"].items()
    }
    rules = re.findall(
        r"^iptables -I (\S+) -i (\S+) -j DROP$", (DEPLOY / "docs" / "egress.md").read_text(), re.M
    )
    assert {bridge for chain, bridge in rules if chain == "INPUT"} == set(bridges.values())
    assert {bridge for chain, bridge in rules if chain == "DOCKER-USER"} == {bridges["gitlab"]}


def test_variables_are_settings() -> None:
    """What the files set exists, and what they ask of the environment has a default or says what it is."""
    for name, path in FILES.items():
        for service in read(name)["services"].values():
            for variable in service.get("environment", ()):
                if variable.startswith(("ENGINE_", "BOT_")):
                    assert variable in _KNOWN | {"ENGINE_ENV_FILE", "BOT_ENV_FILE"}
        asked = _VARIABLE.findall(path.read_text("utf-8"))
        assert all(kind and text for _, kind, text in asked), asked


def test_images_are_those_of_the_list() -> None:
    """images.txt, which a bundle takes along, names every image with its version."""
    images = set((DEPLOY / "images" / "images.txt").read_text("utf-8").split())
    for name in FILES:
        for service in read(name)["services"].values():
            if image := service.get("image"):
                assert re.sub(_VARIABLE, lambda found: found[3], image) in images


def test_secrets_are_kept_out_of_git() -> None:
    """The files that compose reads secrets from are ignored; the examples beside them are not."""
    ignored = (DEPLOY.parent / ".gitignore").read_text("utf-8").split()
    for name in FILES:
        for secret in read(name).get("secrets", {}).values():
            file = (DEPLOY / "compose" / secret["file"]).resolve().relative_to(DEPLOY.parent)
            assert f"/{file}" in ignored or (f"/{file.parent}/*{file.suffix}" in ignored and file.suffix)
