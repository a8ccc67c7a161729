"""Packages import along the module map only, and light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"engine", "bot", "lsp", "training"}
HEAVY = {
    *("torch", "transformers", "peft", "trl", "datasets", "unsloth", "bitsandbytes", "accelerate"),
    *("xllamacpp", "llguidance", "gguf", "tokenizers", "safetensors", "numpy", "matplotlib", "sklearn"),
    *("tree_sitter", "aiohttp", "prometheus_client", "sqlalchemy", "alembic", "psycopg", "model_signing"),
}
LIGHT = (
    *("engine.wire", "engine.findings", "engine.diffs", "engine.parsing", "engine.errors", "engine.config"),
    *("engine.replies", "engine.scores", "engine.review", "engine.adapters", "engine.__main__"),
    *("engine.client", "engine.batching", "engine.tokens", "engine.api.problems", "bot.cli.explain_event"),
)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_packages_import_the_engine_alone(package: str) -> None:
    """bot, lsp and training may import engine; engine imports none of them."""
    allowed = {package} if package == "engine" else {package, "engine"}
    for path in (ROOT / package).rglob("*.py"):
        foreign = set(imported(path)) & PACKAGES - allowed
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_nothing_heavy(module: str) -> None:
    """A laptop without model libraries can import these, and starts fast."""
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_product_never_imports_its_fakes() -> None:
    """Only tests use `testing`."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert "engine.testing" not in path.read_text("utf-8"), path
