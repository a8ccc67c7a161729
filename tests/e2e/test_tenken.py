"""`tenken` as a process: streams, signals, pipes and exit codes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("tenken_with_fake_model.py")
ROOT = Path(__file__).parents[2]
SECONDS = 120
BAD = "--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,2 @@\n+x = 1\n+y = eval(x)  # {note}\n"


def diff(files: int, note: str = "") -> str:
    return "".join(BAD.format(path=f"f{number}.py", note=note) for number in range(files))


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENGINE_", "COLUMNS"))}
    return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "ENGINE_ADAPTER_DIR": ""}


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(SCRIPT), *arguments]


def tenken(home: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=home,
        env=environment(home),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose last commit, index and work tree each add one eval."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Begin")
    (tmp_path / "a.py").write_text("x = 1\ncommitted = eval(x)\n")
    git(tmp_path, "commit", "-qam", "Evaluate")
    (tmp_path / "b.py").write_text("staged = eval(x)\n")
    git(tmp_path, "add", ".")
    (tmp_path / "c.py").write_text("untracked = eval(x)\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), {"b.py", "c.py"}),
        (("--staged",), {"b.py"}),
        (("--commit",), {"a.py"}),
        (("--commit", "HEAD~1"), set()),
        (("--range", "HEAD~1..HEAD"), {"a.py"}),
        (("--path", "c.*"), {"c.py"}),
        (("--exclude", "c.*"), {"b.py"}),
    ],
)
def test_change_is_taken_from_git(repository: Path, arguments: tuple[str, ...], found: set[str]) -> None:
    """Each way to name a change reviews that change."""
    done = tenken(repository, "review", "--format", "json", *arguments)
    assert done.returncode == 0, done.stderr
    assert {finding["path"] for finding in json.loads(done.stdout)["findings"]} == found


def test_pipes_are_quiet(tmp_path: Path) -> None:
    """Into a pipe go findings and summary, no progress and no escape sequence; stderr says what matters."""
    done = tenken(tmp_path, "review", "--diff", "-", "--adapter", "none", stdin=diff(2))
    assert done.returncode == 0
    assert "Remark 2." in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr == "tenken: no adapter: the base model alone is a poor reviewer\n"


def test_report_goes_to_its_file(tmp_path: Path) -> None:
    """With --output the file holds the report and the terminal still shows the findings."""
    done = tenken(
        tmp_path, "review", "--diff", "-", "--format", "sarif", "--output", "r.sarif", stdin=diff(1)
    )
    assert "Remark 2." in done.stdout
    report = json.loads((tmp_path / "r.sarif").read_text())
    assert len(report["runs"][0]["results"]) == 1


def test_one_review_fills_several_reports(tmp_path: Path) -> None:
    """Each in its format, beside what the terminal shows; a file that cannot be written is an error."""
    reports = ("--report", "sarif=r.sarif", "--report", "code-quality=q.json", "--report", "text=r.txt")
    done = tenken(tmp_path, "review", "--diff", "-", *reports, stdin=diff(1))
    assert (done.returncode, done.stdout.count("Remark 2.")) == (0, 1)
    assert json.loads((tmp_path / "r.sarif").read_text())["version"] == "2.1.0"
    assert len(json.loads((tmp_path / "q.json").read_text())) == 1
    assert "Remark 2." in (tmp_path / "r.txt").read_text()
    for wrong, said in (
        ("html=r.html", "is not FORMAT=FILE"),
        ("text", "is not FORMAT=FILE"),
        ("text=no/such/r.txt", "cannot write no/such/r.txt"),
    ):
        done = tenken(tmp_path, "review", "--diff", "-", "--report", wrong, stdin=diff(1))
        assert done.returncode == 2
        assert said in done.stderr


@pytest.mark.parametrize(("floor", "code"), [("critical", 0), ("major", 1), ("info", 1)])
def test_fail_on_decides_the_exit_code(tmp_path: Path, floor: str, code: int) -> None:
    """Findings as severe as --fail-on exit with 1."""
    assert tenken(tmp_path, "review", "--diff", "-", "--fail-on", floor, stdin=diff(1)).returncode == code


def test_configuration_is_read_and_the_command_line_goes_before_it(repository: Path) -> None:
    """`.tenken.toml` decides what the command line leaves open."""
    (repository / ".tenken.toml").write_text('fail_on = "major"\nlanguage = "ja"\n')
    (repository / "deep").mkdir()
    configured = tenken(repository / "deep", "review", "--staged", "--format", "json")
    assert (configured.returncode, json.loads(configured.stdout)["language"]) == (1, "ja")
    overruled = tenken(
        repository, "review", "--staged", "--format", "json", "--lang", "en", "--fail-on", "critical"
    )
    assert (overruled.returncode, json.loads(overruled.stdout)["language"]) == (0, "en")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--diff", "missing.diff"), "tenken: cannot read missing.diff: No such file or directory\n"),
        (("--diff", "bad.diff"), "tenken: no file header"),
        (("--staged",), "tenken: not a git repository"),
        (("--commit", "x", "--staged"), "tenken: argument --staged: not allowed with argument --commit"),
        (("--severity", "high"), "tenken: argument --severity: invalid choice: 'high'"),
        (("--max-findings", "0"), "tenken: --max-findings: 0 is not between 1 and 1000\n"),
        (("--diff", "good.diff", "--guidelines", "none.md"), "tenken: none.md: No such file"),
        (("--diff", "good.diff", "--output", "no/where.json"), "tenken: cannot write no/where.json"),
        (("--frobnicate",), "tenken: unrecognized arguments: --frobnicate"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Whatever is wrong with the input is said in a line, without a stack trace."""
    (tmp_path / "bad.diff").write_text("hello\n")
    (tmp_path / "good.diff").write_text(diff(1))
    if arguments == ("--max-findings", "0"):
        git(tmp_path, "init", "-q")
    done = tenken(tmp_path, "review", "--adapter", "none", *arguments)
    assert done.returncode == 2
    errors = done.stderr.replace("tenken: no adapter: the base model alone is a poor reviewer\n", "")
    assert errors.startswith(message)
    assert errors.count("\n") == 1


def test_bad_configuration_is_exit_2(repository: Path) -> None:
    """An unknown key stops the review with the key's line."""
    (repository / ".tenken.toml").write_text('severety = "info"\n')
    done = tenken(repository, "review")
    assert done.returncode == 2
    assert done.stderr == "tenken: .tenken.toml:1: severety: unknown key; did you mean severity?\n"


def test_missing_adapter_is_exit_3(tmp_path: Path) -> None:
    """An engine that cannot work says so with 3."""
    done = tenken(tmp_path, "review", "--diff", "-", "--adapter", "nowhere", stdin=diff(1))
    assert (done.returncode, done.stderr) == (3, "tenken: no adapter at nowhere: not a directory\n")


def test_diff_without_code_needs_no_model(tmp_path: Path) -> None:
    """A change of documents alone is done at once."""
    stdin = BAD.format(path="notes.md", note="")
    done = tenken(tmp_path, "review", "--diff", "-", "--format", "json", stdin=stdin)
    review = json.loads(done.stdout)
    assert (done.returncode, review["coverage"][0]["reason"], review["base_model"]) == (0, "unsupported", "")


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    """The findings printed so far and a report of them remain; the exit code is 130."""
    arguments = ("review", "--diff", "-", "--format", "json", "--output", "r.json")
    process = subprocess.Popen(
        command(*arguments),
        cwd=tmp_path,
        env=environment(tmp_path) | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(diff(30, note="slow"))
    process.stdin.close()
    process.stdin = None
    assert "f0.py:2" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["partial"]
    assert 1 <= len(report["findings"]) < 30


def test_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """`tenken review | head -1` ends quietly."""
    (tmp_path / "long.diff").write_text(diff(400))
    review = " ".join(command("review", "--diff", "long.diff", "--max-findings", "1000"))
    done = subprocess.run(
        ["bash", "-c", f"{review} | head -1; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert "Traceback" not in done.stderr


def test_terminal_sees_progress(tmp_path: Path) -> None:
    """On a terminal files and tokens are counted while the review goes on, and findings are coloured."""
    (tmp_path / "a.diff").write_text(diff(6, note="slow"))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("review", "--diff", "a.diff"),
        cwd=tmp_path,
        env=environment(tmp_path) | {"TERM": "xterm-256color", "COLUMNS": "120"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert process.wait(timeout=SECONDS) == 0
    text = seen.decode()
    assert "/6 files" in text
    assert "tokens" in text
    assert "\x1b[1;33m" in text


def test_help_names_the_exit_codes(tmp_path: Path) -> None:
    """--help documents every exit code."""
    done = tenken(tmp_path, "review", "--help")
    assert done.returncode == 0
    for code in ("0", "1", "2", "3", "130"):
        assert f"\n{code:>5}  " in done.stdout


def test_ascii_output_never_fails(tmp_path: Path) -> None:
    """Where the terminal cannot show a character, something else stands for it."""
    done = subprocess.run(
        command("review", "--diff", "-", "--lang", "ja"),
        cwd=tmp_path,
        env=environment(tmp_path) | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        input=diff(1).encode(),
        capture_output=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
