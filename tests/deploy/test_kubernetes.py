"""The manifests are valid, fit together once rendered, and deny what they do not name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from bot.settings import BotSettings
from engine.settings import EngineSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "kubernetes"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
VERSION = "1.31"
_NOT_OURS = ("kustomization.yaml",)
_KNOWN = {f"ENGINE_{name.upper()}" for name in EngineSettings.model_fields} | {
    f"BOT_{name.upper()}" for name in BotSettings.model_fields
}


def documents(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document]


def manifests() -> list[Path]:
    """Return the files that hold whole resources, no patches."""
    patches = {
        path.parent / patch["path"]
        for path in FOLDER.rglob("kustomization.yaml")
        for document in documents(path)
        for patch in document.get("patches", ())
        if "path" in patch
    }
    return [
        path for path in sorted(FOLDER.rglob("*.yaml")) if path.name not in _NOT_OURS and path not in patches
    ]


@pytest.mark.parametrize("path", manifests(), ids=lambda path: str(path.relative_to(FOLDER)))
def test_each_resource_is_what_kubernetes_takes(path: Path) -> None:
    """By the schemas of Kubernetes, strictly: a field that does not exist is an error."""
    for document in documents(path):
        kubernetes_validate.validate(document, VERSION, strict=True)


def test_the_schema_refuses_what_is_misspelt() -> None:
    """Else the test above could not fail."""
    (document, *_) = documents(FOLDER / "base" / "network-policies.yaml")
    document["spec"]["policyTipes"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSION, strict=True)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("kustomization.yaml")), ids=lambda p: p.parent.name)
def test_all_files_that_a_kustomization_names_are_there(path: Path) -> None:
    """And no manifest beside it is forgotten."""
    (document,) = documents(path)
    named = [*document.get("resources", ()), *document.get("components", ())]
    named += [patch["path"] for patch in document.get("patches", ()) if "path" in patch]
    for name in named:
        assert (path.parent / name).exists(), name
    beside = {file.name for file in path.parent.glob("*.yaml")} - {path.name}
    assert beside == {name for name in named if name.endswith(".yaml")}


def test_images_are_those_of_the_list() -> None:
    """Each image that a container names has its version in a kustomization, and in images.txt."""
    listed = set((DEPLOY / "images" / "images.txt").read_text("utf-8").split())
    pinned = {
        f"{image['name']}:{image['newTag']}"
        for path in FOLDER.rglob("kustomization.yaml")
        for document in documents(path)
        for image in document.get("images", ())
    }
    assert pinned <= listed
    used = {container["image"] for path in FOLDER.rglob("*.yaml") for container in _containers(path)}
    assert used - {""} == {name.rsplit(":", 1)[0] for name in pinned}


def _containers(path: Path) -> list[dict[str, Any]]:
    pods = [
        document["spec"]["template"]["spec"]
        for document in documents(path)
        if "template" in document.get("spec", {})
    ]
    return [{"image": "", **container} for pod in pods for container in pod.get("containers", ())]


@pytest.fixture(scope="module", params=OVERLAYS)
def rendered(request: pytest.FixtureRequest) -> list[Any]:
    """All resources of an overlay, as they would be applied."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: overlays are only checked file by file")
    done = subprocess.run(
        ["kubectl", "kustomize", FOLDER / "overlays" / request.param],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def test_an_overlay_renders_to_valid_resources(rendered: list[Any]) -> None:
    """All in one namespace, every image with a version."""
    for document in rendered:
        kubernetes_validate.validate(document, VERSION, strict=True)
        if document["kind"] != "Namespace":
            assert document["metadata"]["namespace"] == "tenken"
    for pod in _pods(rendered):
        for container in pod["containers"]:
            assert ":" in container["image"]


def test_every_pod_is_confined(rendered: list[Any]) -> None:
    """As the restricted profile wants it, and read-only; with limits, and without a token for the cluster."""
    for pod in _pods(rendered):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert "livenessProbe" in container
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            assert mounts == {volume["name"] for volume in pod["volumes"]} | mounts
            assert mounts - {volume["name"] for volume in pod["volumes"]} <= {"data"}


def test_nothing_gets_out_but_what_is_named(rendered: list[Any]) -> None:
    """One policy denies all; of the others only the bot's names an address outside, one host of it."""
    policies = {p["metadata"]["name"]: p["spec"] for p in rendered if p["kind"] == "NetworkPolicy"}
    deny = policies.pop("tenken-deny-all")
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    outside = []
    for name, spec in policies.items():
        for rule in spec.get("egress", ()):
            assert rule["to"], name  # a rule without `to` lets everything out
            assert rule["ports"], name
            for peer in rule["to"]:
                if "ipBlock" in peer:
                    outside.append((name, peer["ipBlock"]["cidr"]))
                else:
                    assert peer.get("podSelector"), name
        for rule in spec.get("ingress", ()):
            assert rule["from"], name
    assert [name for name, _ in outside] == ["tenken-bot"]
    assert outside[0][1].endswith("/32")
    workloads = {d["metadata"]["name"] for d in rendered if d["kind"] in ("Deployment", "StatefulSet")}
    assert workloads <= set(policies)


def test_policies_select_pods_that_exist(rendered: list[Any]) -> None:
    """So do services; and the ports they name are ports of those pods."""
    labels = {
        d["metadata"]["name"]: d["spec"]["template"]["metadata"]["labels"] for d in rendered if _has_pod(d)
    }
    for document in rendered:
        if document["kind"] == "Service":
            selector = document["spec"]["selector"].items()
            assert any(selector <= found.items() for found in labels.values())
        if document["kind"] == "NetworkPolicy":
            selector = document["spec"]["podSelector"].get("matchLabels", {}).items()
            assert not selector or any(selector <= found.items() for found in labels.values())


def test_variables_are_settings(rendered: list[Any]) -> None:
    """What the manifests set exists; the secrets they mount are those of the guide."""
    guide = (DEPLOY / "README.md").read_text("utf-8")
    for pod in _pods(rendered):
        for container in pod["containers"]:
            for variable in container.get("env", ()):
                if variable["name"].startswith(("ENGINE_", "BOT_")):
                    assert variable["name"] in _KNOWN | {"ENGINE_ENV_FILE", "BOT_ENV_FILE"}
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert f"create secret generic {volume['secret']['secretName']}" in guide


def _has_pod(document: Any) -> bool:
    return document["kind"] in ("Deployment", "StatefulSet")


def _pods(rendered: list[Any]) -> list[Any]:
    return [document["spec"]["template"]["spec"] for document in rendered if _has_pod(document)]
