"""The commands that the documentation shows, and the few that no test can run on any machine.

Pure: `followed_pages` runs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCS = DEPLOY / "docs"
PAGES = (
    ROOT / "README.md",
    DEPLOY / "README.md",
    DEPLOY / "gitlab-ci" / "README.md",
    *sorted(DOCS.rglob("*.md")),
)

ELSEWHERE = {
    "deploy/docs/first-hour.md": "tests/e2e/test_first_hour.py",
    "deploy/docs/ja/first-hour.md": "tests/project/test_docs.py",  # has the same commands
}
"""Pages that another test follows from beginning to end, or compares with one that is."""

SHOWN_NOT_SAID = (
    "▲ shop/orders.py:19",
    "engine/            reviews a diff",
    "/review\n",
    "/retrain --dry-run\n",
)
"""How plain blocks begin that are no commands: what programs print, the module map, notes in GitLab."""


@dataclass(frozen=True, slots=True)
class Excuse:
    """Why a command is not run here, and what is done instead. Its syntax is checked in any case."""

    why: str
    instead: str  # a file of the repository whose tests do it, or as much of it as can be done


INDEX = Excuse("fetches hundreds of megabytes from a package index", "pyproject.toml")
SUITE = Excuse("is what runs this test", ".ci/run")
GPU = Excuse("needs a GPU", "tests/gpu/test_torch_runner.py")
GPUS = Excuse("needs several GPUs", "tests/engine/finetune/test_processes.py")
VLLM = Excuse("needs vLLM with a GPU and a model of gigabytes", "tests/engine/runners/test_openai_server.py")
HARNESS = Excuse("needs lm_eval, which is no dependency", "tests/training/test_benchmark_tasks.py")
BUNDLE = Excuse("fetches all wheels from a package index", "tests/deploy/test_bundle_offline.py")
SBOM = Excuse("takes long, and is run by another test", "tests/deploy/test_licences.py")
VSCODE = Excuse("needs npm's registry and VS Code", "tests/vscode.sh")
COMPOSE = Excuse("needs a container engine", "tests/deploy/test_compose_files.py")
IMAGES = Excuse("needs a container engine and a registry", "tests/deploy/test_dockerfile.py")
BUILT_IMAGES = Excuse("needs a container engine, and takes long", "tests/deploy/test_images.py")
CI_IMAGES = Excuse("needs a container engine and a registry", "tests/deploy/test_ci_component.py")
CLUSTER = Excuse("needs a cluster", "tests/deploy/test_kubernetes.py")
SYSTEMD = Excuse("needs root and systemd", "tests/deploy/test_systemd_units.py")
FIREWALL = Excuse("needs root and changes the firewall", "tests/project/test_docs_commands.py")
ADVISORIES = Excuse("asks an index about every package", "deploy/licences.py")

BLOCKS_NOT_HERE = {
    "pip install torch  ": GPU,
    "export VLLM_API_KEY=": VLLM,
    "pip install 'tenken[openai]'": VLLM,
    "cd bench && ": HARNESS,
    "accelerate launch ": GPUS,
    "(cd lsp/editors/vscode ": VSCODE,
    "tenken bundle tenken-bundle  ": BUNDLE,
    "./install.sh ": BUNDLE,
    "xargs -n1 docker pull ": IMAGES,
    "deploy/images/local_base.sh ": BUILT_IMAGES,
    "docker run --rm --network none --entrypoint python ": BUILT_IMAGES,
    "docker build -f deploy/gitlab-ci/": CI_IMAGES,
    "cd deploy/compose\n": COMPOSE,
    "kubectl create namespace ": CLUSTER,
    "systemd-sysusers ": SYSTEMD,
    "iptables ": FIREWALL,
}
"""How whole blocks begin that need what not every machine has."""

LINES_NOT_HERE = {
    "pip install ": INDEX,
    "make test": SUITE,
    "make check": SUITE,
    "make sbom": SBOM,
    "pip-audit ": ADVISORIES,
    "tenken bundle tenken-bundle ": BUNDLE,
}
"""How single lines begin that do."""

_FENCED = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OUTPUT = re.compile(r"^\{\n.*\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of commands, and what a command in it prints where that is shown, too."""

    page: str
    text: str
    output: str = ""

    @property
    def excuse(self) -> Excuse | None:
        return _found(BLOCKS_NOT_HERE, self.text)

    def lines(self) -> list[str]:
        """Return the commands; a line that goes on in the next is one with it."""
        return [line for line in re.sub(r"\\\n\s*", "", self.text).splitlines() if line.strip()]

    def to_run(self) -> list[str]:
        """Return the commands that are run."""
        return [] if self.excuse else [line for line in self.lines() if excuse_of(line) is None]


def excuse_of(line: str) -> Excuse | None:
    """Return why a line in a block that is run is not run itself."""
    return _found(LINES_NOT_HERE, line)


def _found(table: dict[str, Excuse], text: str) -> Excuse | None:
    return next((excuse for start, excuse in table.items() if text.startswith(start)), None)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of commands of a page, in their order."""
    for kind, text in _FENCED.findall(page.read_text("utf-8")):
        if kind in ("sh", "bash", "console") or (not kind and not text.startswith(SHOWN_NOT_SAID)):
            output = _OUTPUT.search(text)
            said = output[0] if output else ""
            yield Block(name_of(page), text.removesuffix(said), said)


def followed() -> list[Path]:
    """Return the pages that are followed here: those with commands to run."""
    pages = (page for page in PAGES if name_of(page) not in ELSEWHERE)
    return [page for page in pages if any(block.to_run() for block in blocks(page))]
