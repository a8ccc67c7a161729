"""Adapters go into a project's packages once, come out whole, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from history_world import World, world
from whole_adapters import write_adapter

from bot.fake_gitlab import FaultKind
from bot.fake_gitlab.state import PackageFile
from engine.adapters import CARD, FILES, MANIFEST, WEIGHTS, load_adapter, starter_adapter
from engine.errors import AdapterConflict, AdapterError, InputError, UnknownAdapter
from engine.signing import signature_of
from training.__main__ import main
from training.cli.gitlab import _PACKAGE
from training.errors import GitLabRefused, GitLabUnavailable
from training.history.connection import Access, Server
from training.packages import PACKAGE, SIGNATURE, Packages, fetch, publish

ROOT = Path(__file__).parents[2]
ALL = (*FILES, MANIFEST)


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    """A GitLab for all tests of this file."""
    with world() as made:
        yield made


@pytest.fixture(autouse=True)
def _fresh(here: World) -> None:
    """No test sees the packages, faults and options of another."""
    here.project.packages.clear()
    here.pauses.clear()
    options = here.fake.options
    options.faults.clear()
    options.object_storage, options.duplicate_packages, options.largest_package_file = "", True, 2**26


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


def packages(here: World, token: str = "", name: str = "tenken-adapter") -> Packages:
    return Packages(here.server(token, attempts=2), here.project.path, name)


def stored(here: World) -> list[str]:
    """The names of all files, in the order in which they came."""
    return [file.name for package in here.project.packages for file in package.files]


def test_what_is_published_is_fetched(here: World, adapter: Path, tmp_path: Path) -> None:
    """Under the adapter's own version, the manifest last; every byte comes back."""
    published = publish(packages(here), adapter)
    assert published.version == load_adapter(adapter).version
    assert published.sent == ALL
    assert stored(here) == list(ALL)
    fetched = fetch(packages(here), tmp_path / "new" / "adapter")
    assert fetched.version == published.version
    for name in ALL:
        assert (fetched.path / name).read_bytes() == (adapter / name).read_bytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["adapter"]


def test_a_second_run_sends_nothing(here: World, adapter: Path) -> None:
    """Also where GitLab would take it again."""
    publish(packages(here), adapter)
    assert publish(packages(here), adapter).sent == ()
    assert stored(here) == list(ALL)


@pytest.mark.parametrize(
    "kind", [FaultKind.DROPPED_BEFORE, FaultKind.SERVER_ERROR, FaultKind.BAD_GATEWAY, FaultKind.LIMITED_TEXT]
)
def test_what_did_not_arrive_is_sent_again(here: World, adapter: Path, kind: FaultKind) -> None:
    """Once each in the end, the manifest last."""
    here.fake.fail(kind, method="PUT", path=WEIGHTS)
    assert publish(packages(here), adapter).sent == ALL
    assert stored(here) == list(ALL)


@pytest.mark.parametrize("kind", [FaultKind.DROPPED_AFTER, FaultKind.ERROR_AFTER])
def test_what_arrived_is_not_sent_again(here: World, adapter: Path, kind: FaultKind) -> None:
    """Though the answer was lost: GitLab is asked what it has."""
    here.fake.fail(kind, method="PUT", path=WEIGHTS)
    publish(packages(here), adapter)
    assert stored(here) == list(ALL)


def test_an_interrupted_run_is_gone_on_with(here: World, adapter: Path, tmp_path: Path) -> None:
    """Until the manifest is there, the version is none."""
    write_adapter(tmp_path / "older", seed=1)
    older = publish(packages(here), tmp_path / "older").version
    here.fake.fail(FaultKind.SERVER_ERROR, method="PUT", path=MANIFEST, times=9)
    with pytest.raises(GitLabUnavailable, match="manifest"):
        publish(packages(here), adapter)
    assert fetch(packages(here), tmp_path / "newest").version == older
    with pytest.raises(UnknownAdapter, match="is unfinished"):
        fetch(packages(here), tmp_path / "named", load_adapter(adapter).version)
    here.fake.options.faults.clear()
    assert publish(packages(here), adapter).sent == (MANIFEST,)
    assert fetch(packages(here), tmp_path / "now").version == load_adapter(adapter).version


def test_a_version_never_changes(here: World, adapter: Path, tmp_path: Path) -> None:
    """A file of another content in it is a conflict to whoever publishes, and refused when fetched."""
    publish(packages(here), adapter)
    (package,) = here.project.packages
    weights = next(file for file in package.files if file.name == WEIGHTS)
    package.files.append(PackageFile(9999, WEIGHTS, b"x" + weights.data[1:], weights.created_at))
    with pytest.raises(AdapterConflict, match=f"another {WEIGHTS}"):
        publish(packages(here), adapter)
    with pytest.raises(AdapterError, match=f"{WEIGHTS} is not the file"):
        fetch(packages(here), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ALL)
def test_a_file_that_was_exchanged_is_refused(here: World, adapter: Path, tmp_path: Path, name: str) -> None:
    """Also where GitLab lists the new hash: the version vouches for the manifest, that for the rest."""
    publish(packages(here), adapter)
    (package,) = here.project.packages
    file = next(file for file in package.files if file.name == name)
    file.data = file.data.replace(b"e", b"E", 1) if name != CARD else b"# Better\n"
    with pytest.raises(AdapterError):
        fetch(packages(here), tmp_path / "new")
    assert list(tmp_path.iterdir()) == [adapter]


def test_two_runs_at_once(here: World, adapter: Path) -> None:
    """Where duplicates are forbidden, the slower one finds what it wanted to send."""
    here.fake.options.duplicate_packages = False

    class Slow(Packages):
        """Sends what another has just sent."""

        def send(self, version: str, name: str, path: Path) -> None:
            super().send(version, name, path)
            super().send(version, name, path)

    assert publish(Slow(here.server(), here.project.path), adapter).sent == ALL
    assert stored(here) == list(ALL)


def test_refusals_are_told(here: World, adapter: Path, tmp_path: Path) -> None:
    """Too large, no right to write, an invalid version, an unknown project: GitLab's words, at once."""
    here.fake.options.largest_package_file = 100
    with pytest.raises(GitLabRefused, match="File is too large"):
        publish(packages(here), adapter)
    here.fake.options.largest_package_file = 2**26
    here.project.members[here.stranger.id] = 20
    try:
        with pytest.raises(GitLabRefused, match="403"):
            publish(packages(here, here.stranger.token), adapter)
        publish(packages(here), adapter)
        fetch(packages(here, here.stranger.token), tmp_path / "read")
    finally:
        del here.project.members[here.stranger.id]
    with pytest.raises(GitLabRefused, match="package_version is invalid"):
        publish(packages(here), write_adapter(tmp_path / "dots", name="a..b"))
    with pytest.raises(GitLabRefused, match="404"):
        fetch(Packages(here.server(), "no/such"), tmp_path / "none")
    with pytest.raises(InputError, match="no name of a package"):
        Packages(here.server(), here.project.path, "../x")


def test_names_that_are_only_alike_are_others(here: World, adapter: Path, tmp_path: Path) -> None:
    """GitLab searches for a name; what is called a little more is another package."""
    publish(packages(here, name="my-tenken-adapter"), adapter)
    with pytest.raises(UnknownAdapter, match="no whole version"):
        fetch(packages(here), tmp_path / "new")


def test_a_target_is_never_replaced(here: World, adapter: Path, tmp_path: Path) -> None:
    """The same adapter may be fetched again; another one needs another directory."""
    target = tmp_path / "target"
    publish(packages(here), adapter)
    assert fetch(packages(here), target).version == fetch(packages(here), target).version
    publish(packages(here), write_adapter(tmp_path / "other", seed=1))
    with pytest.raises(AdapterConflict, match="another adapter"):
        fetch(packages(here), target)
    named = load_adapter(adapter).version
    assert fetch(packages(here), target, named).version == named


def test_a_download_that_breaks_off_begins_anew(here: World, adapter: Path, tmp_path: Path) -> None:
    """And ends where it breaks off each time."""
    publish(packages(here), adapter)
    here.fake.fail(FaultKind.DROPPED_BEFORE, method="GET", path=WEIGHTS)
    fetch(packages(here), tmp_path / "new")
    here.fake.fail(FaultKind.DROPPED_BEFORE, method="GET", path=WEIGHTS, times=99)
    with pytest.raises(GitLabUnavailable):
        fetch(packages(here), tmp_path / "none")


def test_an_object_storage_gets_no_token(here: World, adapter: Path, tmp_path: Path) -> None:
    """It is followed for files alone; the fake refuses whoever shows it a token."""
    publish(packages(here), adapter)
    here.fake.options.object_storage = here.fake.url.replace("127.0.0.1", "localhost")
    access = Access(here.fake.url, here.server()._access.token, attempts=1, requests_per_second=1e6)
    with pytest.raises(GitLabRefused, match="not followed"):
        fetch(Packages(Server(access), here.project.path), tmp_path / "none")
    followed = Packages(Server(access, follows=True), here.project.path)
    assert fetch(followed, tmp_path / "new").version == load_adapter(adapter).version


def test_a_file_that_does_not_end_is_dropped(here: World, adapter: Path, tmp_path: Path) -> None:
    """No more is read than an adapter's file may have."""
    publish(packages(here), adapter)
    (package,) = here.project.packages
    manifest = next(file for file in package.files if file.name == MANIFEST)
    manifest.data += b" " * 2**20
    with pytest.raises(GitLabUnavailable, match="more than 1048576 bytes"):
        fetch(packages(here), tmp_path / "new")


def keys(folder: Path) -> tuple[Path, Path]:
    """Make a key pair."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / "team.key", folder / "team.pub"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(pem, info))
    return private, public


def command(here: World, name: str, *words: object) -> int:
    return main([name, "--url", here.fake.url, "--project", here.project.path, *map(str, words)])


def test_signatures_travel_along(
    here: World, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a private key what is published is signed, with the public one nothing unsigned comes in."""
    pytest.importorskip("model_signing")
    private, public = keys(tmp_path)
    monkeypatch.setenv("TENKEN_GITLAB_TOKEN", here.fake.bot.token)
    assert command(here, "publish", "--adapter", adapter) == 0
    monkeypatch.setenv("ENGINE_VERIFY_KEY", str(public))
    assert command(here, "fetch", "--out", tmp_path / "unsigned") == 3
    assert not (tmp_path / "unsigned").exists()
    monkeypatch.setenv("ENGINE_SIGNING_KEY", str(private))
    assert command(here, "publish", "--adapter", adapter) == 0
    assert stored(here) == [*ALL, SIGNATURE]
    assert command(here, "fetch", "--out", tmp_path / "signed") == 0
    assert signature_of(tmp_path / "signed").is_file()
    assert command(here, "fetch", "--out", tmp_path / "signed") == 0
    signature_of(tmp_path / "signed").write_text("{}")
    assert command(here, "fetch", "--out", tmp_path / "signed") == 3


def test_a_job_needs_to_say_nothing(
    here: World,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Address, project and token are in its environment."""
    monkeypatch.delenv("TENKEN_GITLAB_TOKEN", raising=False)
    monkeypatch.setenv("CI_SERVER_URL", here.fake.url)
    monkeypatch.setenv("CI_PROJECT_ID", str(here.project.id))
    monkeypatch.setenv("CI_JOB_TOKEN", here.fake.bot.token)
    assert main(["publish", "--adapter", str(adapter)]) == 0
    assert main(["publish", "--adapter", str(adapter)]) == 0
    assert main(["fetch", "--out", str(tmp_path / "out")]) == 0
    version = load_adapter(adapter).version
    first, said, again, told, *rest = capsys.readouterr().out.splitlines()
    assert (first, again) == (f"sent: {', '.join(ALL)}", "sent: nothing, all was there")
    assert [said, told, *rest] == [version, version, version, str(tmp_path / "out")]
    assert {request.status for request in here.fake.requests if "generic" in request.path} >= {200, 201}


def test_what_is_missing_is_named(
    adapter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, before anything is asked."""
    for name in ("CI_SERVER_URL", "CI_PROJECT_ID", "CI_JOB_TOKEN", "TENKEN_GITLAB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert main(["publish", "--adapter", str(adapter)]) == 2
    assert "--url and --project" in capsys.readouterr().err
    assert main(["fetch", "--out", "x", "--url", "http://127.0.0.1:1", "--project", "a/b"]) == 2
    assert "no token" in capsys.readouterr().err


def test_files_arrive_as_they_are(here: World, adapter: Path) -> None:
    """Byte by byte, with nothing of a form around them."""
    publish(packages(here), adapter)
    (package,) = here.project.packages
    for file in package.files:
        assert file.data == (adapter / file.name).read_bytes()


BLOCKED = (
    "numpy",
    "torch",
    "transformers",
    "peft",
    "xllamacpp",
    "gguf",
    "safetensors",
    "sqlalchemy",
    "aiohttp",
)


def test_fetching_needs_little(here: World, adapter: Path, tmp_path: Path) -> None:
    """A job that only reviews through an engine elsewhere, or fetches, installs the extra gitlab alone."""
    publish(packages(here), adapter)
    block = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED!r}))"
    code = f"{block}; from training.__main__ import main; sys.exit(main(sys.argv[1:]))"
    words = ["fetch", "--url", here.fake.url, "--project", here.project.path, "--out", str(tmp_path / "new")]
    environment = os.environ | {"TENKEN_GITLAB_TOKEN": here.fake.bot.token, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert load_adapter(tmp_path / "new").version == load_adapter(adapter).version
    assert _PACKAGE == PACKAGE


def test_an_empty_package_may_be_fine(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the starter in its place, or with nothing; a version that is named has to be there."""
    monkeypatch.setenv("TENKEN_GITLAB_TOKEN", here.fake.bot.token)
    starter = starter_adapter()
    assert starter is not None
    assert command(here, "fetch", "--out", tmp_path / "a") == 2
    assert command(here, "fetch", "--out", tmp_path / "a", "--or", "nothing") == 0
    assert capsys.readouterr().out.startswith("nothing: package tenken-adapter has no whole version")
    assert not (tmp_path / "a").exists()
    for _ in range(2):
        assert command(here, "fetch", "--out", tmp_path / "a", "--or", "starter") == 0
    assert load_adapter(tmp_path / "a").version == load_adapter(starter).version
    assert command(here, "fetch", "--out", tmp_path / "b", "--or", "starter", "--version", "team-1") == 2
    assert not (tmp_path / "b").exists()
