"""What a bundle holds, what it refuses, and what its installer checks. Wheels from an index: tests/deploy."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from engine.adapters import FILES, Manifest, write_manifest
from engine.bundle.contents import MANIFEST, SUMS, Contents, write_sums
from engine.bundle.making import Wish, make_bundle
from engine.bundle.texts import BUNDLE_TEXTS
from engine.bundle.wheels import Target, Wheel, requirements
from engine.errors import AdapterError, EngineError, InputError, TenkenError
from engine.models import sha256_of
from engine.wire import Language

PROJECT = '[project]\nname = "tenken"\n[project.optional-dependencies]\ncpu = []\nserve = []\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Something with the files of a checkout, and secrets beside the examples."""
    root = tmp_path / "checkout"
    (root / "deploy" / "images").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT)
    for name in ("constraints.txt", "LICENSE", "NOTICE", "deploy/README.md", "deploy/bot.env.example"):
        (root / name).write_text(name)
    (root / "deploy" / "images" / "images.txt").write_text("tenken/bot:0.1.0\n")
    for name in ("bot.env", "tls.key", "postgres-password", "tokens.json"):
        (root / "deploy" / name).write_text("a secret")
    return root


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter that is whole."""
    path = tmp_path / "adapter"
    path.mkdir()
    for name in FILES:
        (path / name).write_bytes(b"{}")
    manifest = Manifest(name="team", base_model="b", base_sha256="0" * 64, dtype="f", rank=1, licence="l")
    write_manifest(path, manifest)
    return path


def fetch(source: Path, extras: Iterable[str], target: Target, folder: Path) -> tuple[Wheel, ...]:
    """Put down two files that are called like wheels."""
    wheels = []
    for name in ("other_one", "tenken"):
        path = folder / f"{name}-1.0-py3-none-any.whl"
        path.write_text(name)
        wheels.append(Wheel(path, name.replace("_", "-"), "1.0", sha256_of(path)))
    return tuple(wheels)


def made(wish: Wish, out: Path) -> Contents:
    return make_bundle(wish, out, lambda text: None, fetch)


def test_a_bundle_has_all_that_was_wished_for(tmp_path: Path, checkout: Path, adapter: Path) -> None:
    """Wheels by hash, adapters by version, the model, the guides; and no secret."""
    model = tmp_path / "gemma"
    model.mkdir()
    (model / "config.json").write_text("{}")
    wish = Wish(checkout, ("cpu", "serve"), Target("3.12", "aarch64"), (adapter,), model)
    contents = made(wish, tmp_path / "out" / "bundle")
    out = tmp_path / "out" / "bundle"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bundle"]
    assert contents == Contents.model_validate_json((out / MANIFEST).read_text())
    assert (contents.version, contents.python, contents.machine) == ("1.0", "3.12", "aarch64")
    version = contents.adapters[0]
    assert version.startswith("team-")
    assert (out / "adapters" / version / "manifest.json").is_file()
    assert (out / "model" / "gemma" / "config.json").is_file()
    assert (out / "images.txt").read_text() == "tenken/bot:0.1.0\n"
    assert (
        f"tenken[cpu,serve]==1.0 --hash=sha256:{contents.wheels[1].sha256}\n"
        in (out / "requirements.txt").read_text()
    )
    assert os.access(out / "install.sh", os.X_OK)
    files = {path.name for path in (out / "deploy").rglob("*") if path.is_file()}
    assert files == {"README.md", "bot.env.example", "images.txt"}
    assert "a secret" not in "".join(path.read_text() for path in out.rglob("*") if path.is_file())


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_the_hashes_are_those_of_all_files(tmp_path: Path, checkout: Path) -> None:
    """sha256sum itself takes them, and notices a changed file."""
    out = tmp_path / "bundle"
    made(Wish(checkout, ()), out)
    named = {line.split("  ")[1] for line in (out / SUMS).read_text().splitlines()}
    assert named == {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} - {SUMS}
    check = ["sha256sum", "--check", "--quiet", "--strict", SUMS]
    assert subprocess.run(check, cwd=out, check=False, capture_output=True).returncode == 0
    (out / "LICENSE").write_text("another")
    assert subprocess.run(check, cwd=out, check=False, capture_output=True).returncode == 1


def test_what_cannot_be_bundled_is_told_and_leaves_nothing(
    tmp_path: Path, checkout: Path, adapter: Path
) -> None:
    """Nothing half made is ever seen under the bundle's name."""

    def refuses(wish: Wish, kind: type[TenkenError], words: str, out: str = "bundle") -> None:
        before = sorted(tmp_path.iterdir())
        with pytest.raises(kind, match=words):
            made(wish, tmp_path / out)
        assert sorted(tmp_path.iterdir()) == before

    refuses(Wish(checkout, ("gpus",)), InputError, "--extras: there is no gpus; there are cpu, serve")
    refuses(Wish(tmp_path, ()), InputError, "no checkout of tenken: pyproject.toml is missing")
    refuses(Wish(checkout, (), model=tmp_path / "none"), InputError, "--model .*none: there is no such")
    refuses(Wish(checkout, ()), InputError, "exists; name a directory that is to be made", "adapter")
    (adapter / "README.md").write_text("changed")
    refuses(Wish(checkout, (), adapters=(adapter,)), AdapterError, "its sha256 differs")


@pytest.mark.parametrize(
    ("language", "said"),
    [(Language.EN, "fetching wheels for no extra"), (Language.JA, "wheel を集めています: 追加機能なし")],
)
def test_what_is_done_is_told(tmp_path: Path, checkout: Path, language: Language, said: str) -> None:
    """In the language of whoever asked."""
    told: list[str] = []
    make_bundle(Wish(checkout, ()), tmp_path / "bundle", told.append, fetch, BUNDLE_TEXTS[language])
    assert told[0] == said


def test_pip_that_gives_up_leaves_nothing(tmp_path: Path, checkout: Path) -> None:
    """Its error is ours, in one line."""

    def fails(source: Path, extras: Iterable[str], target: Target, folder: Path) -> tuple[Wheel, ...]:
        raise EngineError("pip download failed")

    before = sorted(tmp_path.iterdir())
    with pytest.raises(EngineError, match="pip download failed"):
        make_bundle(Wish(checkout, ()), tmp_path / "bundle", lambda text: None, fails)
    assert sorted(tmp_path.iterdir()) == before


def test_a_target_names_every_platform_that_runs_there() -> None:
    """The newest glibc first, old names among them; nothing for a machine like this one."""
    words = Target("3.12", "x86_64", "2.18").options()
    assert words[:2] == ("--python-version", "3.12")
    platforms = words[3::2]
    assert platforms[:3] == ("manylinux_2_18_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
    assert platforms[-3:] == ("manylinux_2_5_x86_64", "manylinux1_x86_64", "linux_x86_64")
    assert Target().options() == ()
    for target, words_ in (
        (Target("3"), "--python 3: "),
        (Target(machine="x", glibc="3.1"), "--glibc 3.1: "),
    ):
        with pytest.raises(InputError, match=words_):
            target.options()


def test_requirements_allow_these_wheels_alone(tmp_path: Path) -> None:
    """One line each; the extras stand at our own."""
    wheels = [Wheel(tmp_path, "a", "1.0", "00"), Wheel(tmp_path, "tenken", "2", "11")]
    assert requirements(wheels, ()) == "a==1.0 --hash=sha256:00\ntenken==2 --hash=sha256:11\n"
    assert requirements(wheels, ("cpu",)).endswith("tenken[cpu]==2 --hash=sha256:11\n")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_the_installer_refuses_before_it_touches_anything(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged bundle, another Python, another machine, no Python, a place that is in use, unknown words."""
    out, prefix = tmp_path / "bundle", tmp_path / "prefix"
    made(Wish(checkout, ()), out)

    def install(*words: str | Path) -> tuple[int, str]:
        command = [out / "install.sh", "--prefix", prefix, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stderr

    manifest = json.loads((out / MANIFEST).read_text())
    for changed in ({"python": "2.7"}, {"machine": "pdp11"}):
        (out / MANIFEST).write_text(json.dumps(manifest | changed))
        assert "install.sh: this bundle is damaged" in install("--python", sys.executable)[1]
        write_sums(out)
        code, said = install("--python", sys.executable)
        assert code == 3
        assert f"but {sys.executable} here is" in said
        assert platform.machine() in said
    (out / MANIFEST).write_text(json.dumps(manifest))
    write_sums(out)
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    assert "別のものを --python で指定してください" in install("--python", tmp_path / "none")[1]
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    code, said = install("--python", tmp_path / "none")
    assert (code, "--python names another" in said) == (3, True)
    assert install("--no-such")[0] == 2
    assert not prefix.exists()
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").touch()
    code, said = install("--python", sys.executable)
    assert (code, "is in use" in said) == (3, True)
