"""A bundle made with a package index is installed and works where there is no network at all.

TENKEN_TEST_BUNDLE=cpu,serve takes these extras along and reviews with the real model; it takes minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from namespaces import cut_off, how

from engine.bundle.contents import write_sums

ROOT = Path(__file__).parents[2]
EXTRAS = os.environ.get("TENKEN_TEST_BUNDLE", "")

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not how(), reason="this system lets nobody make a network namespace"),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the light core with an adapter, made by the command."""
    out = tmp_path_factory.mktemp("made") / "bundle"
    command = [
        sys.executable,
        "-m",
        "engine",
        "bundle",
        out,
        "--extras",
        EXTRAS,
        "--adapter",
        "engine/starter",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "next, there: ./install.sh" in done.stdout
    return out


def tenken(prefix: Path, *words: str, ok: int = 0) -> str:
    """Return what the installed program prints without a network, in an empty home."""
    (prefix / "home").mkdir(exist_ok=True)
    environment = {"HOME": str(prefix / "home"), "PATH": "/usr/bin:/bin"}
    done = cut_off([prefix / "bin" / "tenken", *words], cwd=prefix / "home", env=environment, check=False)
    assert done.returncode == ok, done.stderr[-3000:]
    return done.stdout


def test_the_light_core_is_installed_without_a_network(tmp_path: Path, bundle: Path) -> None:
    """By hash, out of the bundle alone; an adapter comes along, and what is missing is told."""
    prefix = tmp_path / "prefix"
    # Settings of pip that name an index, as an administrator's machine may have them, must not matter.
    environment = dict(os.environ) | {"PIP_INDEX_URL": "https://127.0.0.1:9/simple"}
    install = [bundle / "install.sh", "--prefix", prefix, "--python", sys.executable]
    done = cut_off(install, cwd=tmp_path, env=environment)
    version = json.loads((bundle / "manifest.json").read_text())["adapters"][0]
    assert f"ENGINE_ADAPTER_DIR={prefix}/share/tenken/adapters/{version}" in done.stdout
    assert (prefix / "share" / "tenken" / "deploy" / "systemd" / "tenken-bot.service").is_file()
    assert tenken(prefix, "--version").startswith("tenken 0.")
    has_model = "cpu" in EXTRAS.split(",")
    found = tenken(prefix, "doctor", "--json", ok=0 if has_model else 3)
    checks = {check["name"]: check for check in json.loads(found)}
    assert checks["extra cpu"]["health"] == ("ok" if has_model else "problem")
    assert checks["adapter"]["detail"].startswith(version)


@pytest.mark.skipif("cpu" not in EXTRAS.split(","), reason="the bundle has no model: TENKEN_TEST_BUNDLE=cpu")
def test_a_review_needs_no_network(tmp_path: Path, bundle: Path) -> None:
    """With the model out of the bundle, which llama.cpp reaches over the loopback."""
    prefix = tmp_path / "prefix"
    cut_off([bundle / "install.sh", "--prefix", prefix, "--python", sys.executable], cwd=tmp_path)
    review = (
        f"ip link set lo up && {prefix}/bin/tenken review --diff {ROOT}/tests/data/example.diff --format json"
    )
    environment = {"HOME": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/bin"}
    done = cut_off(["sh", "-c", review], cwd=tmp_path, env=environment, seconds=500)
    assert json.loads(done.stdout)["findings"]


def test_one_byte_that_differs_is_noticed(tmp_path: Path, bundle: Path) -> None:
    """Even by pip alone, where somebody has made new sums."""
    out, prefix = tmp_path / "bundle", tmp_path / "prefix"
    shutil.copytree(bundle, out)
    wheel = next((out / "wheels").glob("annotated_types-*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-1] + b"x")
    install = [out / "install.sh", "--prefix", prefix, "--python", sys.executable]
    assert "damaged" in cut_off(install, cwd=tmp_path, check=False).stderr
    write_sums(out)
    done = cut_off(install, cwd=tmp_path, check=False)
    assert done.returncode == 3
    assert "DO NOT MATCH THE HASHES" in done.stderr
