"""Puts a bundle together, readable as its steps. It appears whole or not at all."""

from __future__ import annotations

import platform
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engine.adapters import load_adapter
from engine.bundle.contents import MANIFEST, BundledWheel, Contents, write_sums
from engine.bundle.texts import ENGLISH, BundleTexts
from engine.bundle.wheels import Target, Wheel, fetch, requirements
from engine.errors import InputError

_INSTALLER = Path(__file__).with_name("install.sh")
_SECRETS = ("*.env", "*.key", "*.pem", "*.token", "postgres-password", "tokens.json", "__pycache__")
"""What is beside the examples in deploy/ on a machine that uses them, and never leaves it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a bundle shall hold."""

    source: Path  # a checkout of this project
    extras: tuple[str, ...]
    target: Target = field(default_factory=Target)
    adapters: tuple[Path, ...] = ()
    model: Path | None = None


Fetch = Callable[[Path, Iterable[str], Target, Path], tuple[Wheel, ...]]
"""Gets the wheels of a checkout with extras for a target into a folder."""


def make_bundle(
    wish: Wish,
    out: Path,
    tell: Callable[[str], None],
    fetch: Fetch = fetch,
    texts: BundleTexts = ENGLISH,
) -> Contents:
    """Make the bundle at `out` and return what it holds; `tell` hears what is being done.

    Raises InputError for a wish that cannot be met, AdapterError for an adapter that is not whole,
    EngineError where pip finds no wheels.
    """
    _check(wish, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        folder = Path(scratch) / out.name
        contents = _fill(wish, folder, tell, fetch, texts)
        folder.chmod(0o755)
        folder.rename(out)
    return contents


def _check(wish: Wish, out: Path) -> None:
    if out.exists():
        raise InputError(f"{out} exists; name a directory that is to be made")
    for name in ("pyproject.toml", "constraints.txt"):
        if not (wish.source / name).is_file():
            raise InputError(f"{wish.source} is no checkout of tenken: {name} is missing; name one: --source")
    project = tomllib.loads((wish.source / "pyproject.toml").read_text("utf-8"))["project"]
    if unknown := set(wish.extras) - set(project["optional-dependencies"]):
        known = ", ".join(project["optional-dependencies"])
        raise InputError(f"--extras: there is no {', '.join(sorted(unknown))}; there are {known}")
    if wish.model is not None and not wish.model.exists():
        raise InputError(f"--model {wish.model}: there is no such file or directory")


def _fill(
    wish: Wish, folder: Path, tell: Callable[[str], None], fetch: Fetch, texts: BundleTexts
) -> Contents:
    wheelhouse = folder / "wheels"
    wheelhouse.mkdir(parents=True)
    adapters = tuple(load_adapter(path) for path in wish.adapters)
    tell(texts.fetching.format(extras=", ".join(wish.extras) or texts.no_extra))
    wheels = fetch(wish.source, wish.extras, wish.target, wheelhouse)
    (folder / "requirements.txt").write_text(requirements(wheels, wish.extras), "utf-8")
    for adapter in adapters:
        tell(texts.adapter.format(version=adapter.version))
        shutil.copytree(adapter.path, folder / "adapters" / adapter.version)
    if wish.model is not None:
        tell(texts.model.format(name=wish.model.name))
        _copy(wish.model, folder / "model" / wish.model.name)
    if (wish.source / "deploy").is_dir():
        shutil.copytree(wish.source / "deploy", folder / "deploy", ignore=shutil.ignore_patterns(*_SECRETS))
        shutil.copyfile(wish.source / "deploy" / "images" / "images.txt", folder / "images.txt")
    for name in ("LICENSE", "NOTICE"):
        shutil.copyfile(wish.source / name, folder / name)
    shutil.copyfile(_INSTALLER, folder / _INSTALLER.name)
    (folder / _INSTALLER.name).chmod(0o755)
    contents = _contents(wish, wheels, tuple(adapter.version for adapter in adapters))
    (folder / MANIFEST).write_text(contents.model_dump_json(indent=1) + "\n", "utf-8")
    tell(texts.files.format(count=write_sums(folder)))
    return contents


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir()
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _contents(wish: Wish, wheels: tuple[Wheel, ...], adapters: tuple[str, ...]) -> Contents:
    own = next(wheel for wheel in wheels if wheel.name == "tenken")
    python = wish.target.python or ".".join(platform.python_version_tuple()[:2])
    return Contents(
        version=own.version,
        python=python,
        machine=wish.target.machine or platform.machine(),
        extras=wish.extras,
        wheels=tuple(BundledWheel(name=w.name, version=w.version, sha256=w.sha256) for w in wheels),
        adapters=adapters,
        model=wish.model.name if wish.model else "",
    )
