"""`tenken adapters` and `tenken feedback`: output, exit codes, and what a later review makes of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.__main__ import main
from engine.adapters import Adapter, load_adapter
from engine.projects import project_from_url, project_of
from engine.runners import Runner
from engine.settings import EngineSettings
from engine.testing import FakeRunner, by_keyword

MakeAdapter = Callable[..., Path]
DIFF = "--- /dev/null\n+++ b/a.py\n@@ -0,0 +1,2 @@\n+x = 1\n+y = eval(x)\n"
Run = Callable[..., tuple[int, str, str]]


def open_fake(settings: EngineSettings, adapter: Adapter | None) -> Runner:
    """Return a runner that finds every `eval`."""
    return FakeRunner(by_keyword({"eval": (" security", 0.9)}), adapter=adapter.version if adapter else "")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `tenken` in a directory without git, with a data directory of its own."""
    monkeypatch.setenv("ENGINE_DATA_DIR", str(tmp_path / "data"))
    for name in ("ENGINE_ADAPTER_DIR", "ENGINE_MODEL_PATH", "ENGINE_URL", "ENGINE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments, runner=open_fake)
        except SystemExit as exit:
            code = int(str(exit.code))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def data(run: Run, *arguments: str) -> Any:
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_life_of_an_adapter_on_the_command_line(run: Run, make_adapter: MakeAdapter, tmp_path: Path) -> None:
    """Import, promote, compare, roll back, export, delete: each says what it did, for people and programs."""
    first, second = (make_adapter(fill=n) for n in (1, 2))
    versions = [load_adapter(source).version for source in (first, second)]
    code, out, _ = run("adapters", "import", str(first), "--any-base")
    assert (code, out) == (0, f"{versions[0]} is candidate of default\n")
    assert data(run, "adapters", "import", str(second), "--any-base")["version"] == versions[1]
    for version in versions:
        assert data(run, "adapters", "promote", version)["state"] == "champion"
    _, out, _ = run("adapters", "list")
    assert all(version in out for version in versions)
    assert [entry["version"] for entry in data(run, "adapters", "list", "--state", "retired")] == versions[:1]
    _, out, _ = run("adapters", "compare", *versions)
    assert "0.0100" in out
    assert "0.0200" in out
    assert "threshold  0.3000" in run("adapters", "show", versions[0])[1]
    assert data(run, "adapters", "rollback")["version"] == versions[0]
    assert [entry["action"] for entry in data(run, "adapters", "history")] == [
        "roll_back",
        "promote",
        "promote",
    ]
    code, out, _ = run("adapters", "export", versions[0], str(tmp_path / "out"))
    assert out == f"{tmp_path / 'out'}, not signed\n"
    assert load_adapter(tmp_path / "out").version == versions[0]
    assert run("adapters", "delete", versions[1])[:2] == (0, f"{versions[1]} is deleted from default\n")
    assert data(run, "adapters", "list", "--all", "--state", "candidate") == []


def test_faults_are_one_line_and_an_exit_code(run: Run, make_adapter: MakeAdapter, tmp_path: Path) -> None:
    """2 for what was asked, 3 for what the engine cannot do; never a traceback."""
    source = make_adapter()
    version = load_adapter(source).version
    run("adapters", "import", str(source), "--any-base")
    run("adapters", "promote", version)
    (tmp_path / "empty").mkdir()
    for arguments, code, message in (
        (("adapters", "show", "nobody"), 2, "no adapter nobody in project default"),
        (("adapters", "delete", version), 2, "is the champion"),
        (("adapters", "rollback"), 2, "no champion before"),
        (("adapters", "import", str(tmp_path / "none")), 3, "No such file"),
        (("adapters", "import", str(tmp_path / "empty")), 3, "lacks"),
        (("adapters",), 2, "ACTION"),
        (("feedback", "add", "xyz", "wrong"), 2, "fingerprint"),
        (("feedback", "remove", "a" * 16), 2, "no feedback about"),
        (("feedback", "list", "--limit", "0"), 2, "--limit"),
    ):
        found, out, err = run(*arguments)
        assert (found, out) == (code, ""), arguments
        assert message in err
        assert len(err.splitlines()) == 1


def test_adapter_of_another_base_needs_the_word(
    run: Run, make_adapter: MakeAdapter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An import looks at this machine's base model."""
    base = tmp_path / "base.gguf"
    base.write_bytes(b"GGUF")
    monkeypatch.setenv("ENGINE_MODEL_PATH", str(base))
    code, _, err = run("adapters", "import", str(make_adapter()))
    assert (code, "another base model" in err) == (3, True)


def test_review_reads_with_the_champion_and_leaves_out_what_was_dismissed(
    run: Run, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    """Promoting and dismissing take effect with the next review; removing the feedback undoes it."""
    (tmp_path / "change.diff").write_text(DIFF)
    source = make_adapter()
    version = load_adapter(source).version
    command = ("review", "--diff", "change.diff", "--format", "json", "--project", "p")
    run("adapters", "import", str(source), "--any-base", "--project", "p")
    run("adapters", "promote", version, "--project", "p")
    before = json.loads(run(*command)[1])
    [finding] = before["findings"]
    assert before["adapter"] == version
    _, out, _ = run("feedback", "add", finding["fingerprint"], "dismissed", "--project", "p")
    assert "later reviews leave it out" in out
    after = json.loads(run(*command)[1])
    assert (after["findings"], after["suppressed"]) == ([], 1)
    assert json.loads(run(*command[:-1], "q")[1])["findings"]
    assert data(run, "feedback", "remove", finding["fingerprint"], "--project", "p") == {"removed": 1}
    assert json.loads(run(*command)[1])["findings"] == [finding]


def test_review_makes_no_store(run: Run, tmp_path: Path) -> None:
    """Whoever only reviews finds no database afterwards."""
    (tmp_path / "change.diff").write_text(DIFF)
    assert run("review", "--diff", "change.diff", "--adapter", "none")[0] == 0
    assert not (tmp_path / "data").exists()


def test_feedback_is_listed_and_exported(run: Run, tmp_path: Path) -> None:
    """As a table, as JSON, and as lines that training reads."""
    for verdict in ("wrong", "applied"):
        assert (
            run("feedback", "add", "a" * 16, verdict, "--reason", "型が違う", "--role", "developer")[0] == 0
        )
    assert "型が違う" in run("feedback", "list")[1]
    assert {entry["verdict"] for entry in data(run, "feedback", "list")} == {"wrong", "applied"}
    assert run("feedback", "export", "--output", str(tmp_path / "out.jsonl"))[0] == 0
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["wrong", "applied"]
    assert run("feedback", "export")[1].splitlines() == lines


@pytest.mark.parametrize(
    ("url", "project"),
    [
        ("https://gitlab.example.com/group/app.git", "group/app"),
        ("https://oauth2:secret@gitlab.example.com:8443/group/sub/app.git/", "group/sub/app"),
        ("ssh://git@gitlab.example.com:2222/group/app.git", "group/app"),
        ("git@gitlab.example.com:group/app.git", "group/app"),
        ("gitlab:group/app", "group/app"),
        ("/srv/git/app.git", None),
        ("../app", None),
        ("C:/src/app", None),
        ("file:///srv/git/app.git", None),
        ("", None),
    ],
)
def test_project_is_the_path_on_the_server(url: str, project: str | None) -> None:
    """Never the host, a user or a password; a directory is no project."""
    assert project_from_url(url) == project


def test_project_comes_from_origin(tmp_path: Path) -> None:
    """Or from the only remote there is; of two others, nobody knows which."""
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    assert project_of(tmp_path) is None
    for name, url, expected in (
        ("upstream", "git@host:a/one.git", "a/one"),
        ("fork", "git@host:b/two.git", None),
        ("origin", "git@host:c/three.git", "c/three"),
    ):
        subprocess.run([*git, "remote", "add", name, url], check=True)
        assert project_of(tmp_path) == expected
    assert project_of(tmp_path.parent / "none") is None
