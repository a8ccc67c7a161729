"""The editors' plugins come along in the wheel, and `tenken-lsp editors` says where they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from editors import ROOT

from lsp import plugins
from lsp.__main__ import main

_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
_PACKAGES = ("bot", "engine", "lsp", "training")
_FILES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, built in a copy of it."""
    folder = tmp_path_factory.mktemp("source")
    for name in _FILES:
        shutil.copy(ROOT / name, folder)
    for name in _PACKAGES:
        left_out = shutil.ignore_patterns("__pycache__", "node_modules", "*.safetensors", "*.gguf")
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    built = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-c", _BUILD, str(built)], cwd=folder, check=True, capture_output=True)
    (found,) = built.glob("*.whl")
    return found


def test_the_wheel_has_the_neovim_plugin(wheel: Path, tmp_path: Path) -> None:
    """All of its files; installed, the command prints their folder, whatever folder it is called in."""
    source = ROOT / "lsp" / "editors" / "nvim"
    files = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "lsp", "editors", "nvim"]
    printed = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout
    plugin = Path(printed.removesuffix("\n"))
    assert plugin.is_relative_to(tmp_path)
    for file in files:
        assert (plugin / file).read_bytes() == (source / file).read_bytes()


def test_what_came_along_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For VS Code that is the newest package there; what is missing is said, with exit code 3."""
    monkeypatch.setattr(plugins, "_FOLDER", tmp_path)
    assert main(["editors"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["editors", "vscode"]) == 3
    assert "no plugin for vscode" in capsys.readouterr().err
    (tmp_path / "nvim").mkdir()
    (tmp_path / "vscode").mkdir()
    for number, name in enumerate(("tenken-0.10.0.vsix", "tenken-0.9.0.vsix")):
        (tmp_path / "vscode" / name).write_text("")
        os.utime(tmp_path / "vscode" / name, (number, number))
    assert main(["editors", "vscode"]) == 0
    newest = tmp_path / "vscode" / "tenken-0.9.0.vsix"
    assert capsys.readouterr().out == f"{newest}\n"
    assert main(["editors"]) == 0
    assert capsys.readouterr().out == f"nvim\t{tmp_path / 'nvim'}\nvscode\t{newest}\n"
    with pytest.raises(SystemExit) as refused:
        main(["editors", "ed"])
    assert refused.value.code == 2
