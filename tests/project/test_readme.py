"""README and pages know every key, exit code, problem, command and module.

Settings have a page that is made of their classes: `test_docs.py`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from types import ModuleType

import pytest

from bot.handlers.catalogue import COMMANDS
from bot.registry import CommandSpec
from engine.api.problems import ProblemKind
from engine.exits import ExitCode
from engine.wire import Language, SkipReason
from training.__main__ import SUBCOMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
ENGINE = (ROOT / "deploy" / "docs" / "engine.md").read_text("utf-8")
TRAINING = (ROOT / "deploy" / "docs" / "training.md").read_text("utf-8")


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_code_is_documented(code: ExitCode) -> None:
    """The table has the code and its meaning, in the words of --help."""
    assert f"| {code.value} | {code.meaning} |" in README


@pytest.mark.parametrize("kind", list(ProblemKind))
def test_every_problem_is_documented(kind: ProblemKind) -> None:
    """Clients rely on types and statuses, so both are in the table."""
    assert f"| `{kind}` | {kind.status} |" in ENGINE


def test_every_engine_module_is_on_the_map() -> None:
    """The module map names each file and folder of the engine."""
    for path in sorted((ROOT / "engine").iterdir()):
        if path.suffix == ".py" and path.name != "__init__.py":
            assert f"  {path.name}  " in README, path.name
        elif (path / "__init__.py").exists():
            assert f"  {path.name}/  " in README, path.name


def test_every_module_of_the_bot_is_on_the_map() -> None:
    """Small ones share a line with the one they belong to."""
    for path in sorted((ROOT / "bot").glob("*.py")):
        if path.name != "__init__.py":
            assert re.search(rf"[ (]{re.escape(path.name)}[ ,)]", README), path.name


@pytest.mark.parametrize("path", sorted((ROOT / "lsp").glob("[!_]*.py")), ids=lambda path: path.name)
def test_every_module_of_the_language_server_is_on_the_map(path: Path) -> None:
    """So with the language server's, several to a line."""
    assert path.name in README.partition("## Module map")[2]


@pytest.mark.parametrize("reason", list(SkipReason))
def test_every_skip_reason_is_documented(reason: SkipReason) -> None:
    """Whoever reads a report can look up why a file was left out."""
    assert f"`{reason.value}`" in README


@pytest.mark.parametrize("spec", COMMANDS, ids=lambda spec: spec.name)
def test_every_command_is_documented(spec: CommandSpec) -> None:
    """In the words of /help, with the role that it needs unless settings say otherwise."""
    usage = spec.usage.replace("|", r"\|")
    assert f"| `{usage}` | {spec.about[Language.EN]} | {spec.access.name.title()} |" in README


@pytest.mark.parametrize("module", SUBCOMMANDS, ids=lambda module: module.__name__)
def test_every_command_of_training_is_documented(module: ModuleType) -> None:
    """At least by its name in the table of stages or in an example."""
    commands: argparse._SubParsersAction[argparse.ArgumentParser] = argparse.ArgumentParser().add_subparsers()
    module.register(commands)
    for name in commands.choices:
        assert f"| `{name}` |" in TRAINING or f"tenken-train {name} " in TRAINING, name
