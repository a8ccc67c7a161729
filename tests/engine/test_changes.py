"""Changes read from real repositories: what is compared, what is never touched, and what git refuses."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from git_repository import Repository

from engine.changes import Change, between, branch_base, commit, staged, working_tree
from engine.diffs import FileDiff, FileStatus, LineKind
from engine.errors import InputError
from engine.parsing import parse_diff


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository without a commit."""
    made = Repository(tmp_path / "repository")
    made.git("init", "-q", "-b", "main")
    return made


def files_of(change: Change) -> dict[str, FileDiff]:
    """Return the file diffs of a change by new path."""
    return {file.new_path: file for file in parse_diff(change.diff)}


def added_in(change: Change) -> dict[str, list[str]]:
    """Return the added lines by path."""
    return {
        path: [line.text for hunk in file.hunks for line in hunk.lines if line.kind is LineKind.ADDED]
        for path, file in files_of(change).items()
    }


def test_working_tree_has_staged_unstaged_and_untracked_changes(repository: Repository) -> None:
    """Everything a commit of all files would record is there, ignored files are not."""
    repository.commit(a="1\n", b="1\n")
    repository.write(a="1\nstaged\n")
    repository.git("add", "-A")
    repository.write(b="1\nunstaged\n", c="new\n", ignored="x\n")
    (repository.root / ".gitignore").write_text("ignored.py\n.gitignore\n")
    change = working_tree(repository.root)
    assert added_in(change) == {"a.py": ["staged"], "b.py": ["unstaged"], "c.py": ["new"]}
    assert change.sources == {"a.py": "1\nstaged\n", "b.py": "1\nunstaged\n", "c.py": "new\n"}


def test_staged_has_the_index_alone(repository: Repository) -> None:
    """What is not added is not part of the change, nor of the source."""
    repository.commit(a="1\n")
    repository.write(a="1\n2\n")
    repository.git("add", "-A")
    repository.write(a="1\n2\n3\n", b="x\n")
    change = staged(repository.root)
    assert added_in(change) == {"a.py": ["2"]}
    assert change.sources == {"a.py": "1\n2\n"}


def test_before_the_first_commit_everything_is_new(repository: Repository) -> None:
    """A repository without a commit is compared with nothing."""
    assert working_tree(repository.root) == Change("")
    repository.write(a="1\n", b="2\n")
    repository.git("add", "a.py")
    assert added_in(working_tree(repository.root)) == {"a.py": ["1"], "b.py": ["2"]}
    assert added_in(staged(repository.root)) == {"a.py": ["1"]}


def test_commit_has_its_change_purpose_and_sources(repository: Repository) -> None:
    """A commit is compared with its parent; its message is the purpose."""
    repository.commit(a="1\n")
    repository.commit("Add 2\n\nBecause 1 is\nnot enough.", a="1\n2\n")
    repository.commit(a="later\n")
    change = commit(repository.root, "HEAD~1")
    assert added_in(change) == {"a.py": ["2"]}
    assert (change.title, change.description) == ("Add 2", "Because 1 is\nnot enough.")
    assert change.sources == {"a.py": "1\n2\n"}


def test_first_commit_is_compared_with_nothing(repository: Repository) -> None:
    """The root commit adds all it has."""
    repository.commit(a="1\n")
    assert files_of(commit(repository.root, "HEAD"))["a.py"].status is FileStatus.ADDED


def test_merge_commit_is_compared_with_its_first_parent(repository: Repository) -> None:
    """A merge brings what the other side did, as a plain diff."""
    repository.commit(a="1\n")
    repository.git("checkout", "-q", "-b", "side")
    repository.commit(side="x\n")
    repository.git("checkout", "-q", "main")
    repository.commit(main="y\n")
    repository.git("merge", "-q", "--no-edit", "side")
    assert added_in(commit(repository.root, "HEAD")) == {"side.py": ["x"]}


def test_two_dots_compare_and_three_dots_start_at_the_merge_base(repository: Repository) -> None:
    """`A..B` shows what only A has as removed, `A...B` leaves it out; an empty side is HEAD."""
    repository.commit(a="1\n")
    repository.git("checkout", "-q", "-b", "side")
    repository.commit(side="x\n")
    repository.git("checkout", "-q", "main")
    repository.commit(main="y\n")
    assert {path: file.status for path, file in files_of(between(repository.root, "main..side")).items()} == {
        "main.py": FileStatus.DELETED,
        "side.py": FileStatus.ADDED,
    }
    assert added_in(between(repository.root, "main...side")) == {"side.py": ["x"]}
    assert added_in(between(repository.root, "side...")) == {"main.py": ["y"]}


@pytest.mark.parametrize(
    "rev", ["-p", "--output=x", "no-such", "", "HEAD:a.py", "main..HEAD", "a\0b", "HEAD^9"]
)
def test_a_bad_revision_is_refused(repository: Repository, rev: str) -> None:
    """What names no commit, or would be read as an option, is an error that quotes it."""
    repository.commit(a="1\n")
    with pytest.raises(InputError, match=r"revision|no commit"):
        commit(repository.root, rev)


@pytest.mark.parametrize("revisions", ["main", "", "--no-index..x", "main..nowhere", "a..b..c"])
def test_a_bad_range_is_refused(repository: Repository, revisions: str) -> None:
    """A range needs two dots and a commit on each side."""
    repository.commit(a="1\n")
    with pytest.raises(InputError):
        between(repository.root, revisions)


def test_sides_without_a_common_ancestor_are_refused(repository: Repository) -> None:
    """Three dots between unrelated histories is an error in words."""
    repository.commit(a="1\n")
    repository.git("checkout", "-q", "--orphan", "other")
    repository.commit(a="2\n")
    with pytest.raises(InputError, match="no common ancestor"):
        between(repository.root, "main...other")


def test_folders_that_are_no_repository_are_refused(tmp_path: Path) -> None:
    """Git's own words say what is wrong with the folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a git repository"):
        working_tree(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        working_tree(tmp_path / "nowhere")
    with pytest.raises(InputError, match="not a folder"):
        working_tree(tmp_path / "file")


def test_a_subfolder_stands_for_the_whole_repository(repository: Repository) -> None:
    """Paths are those of the repository, wherever in it the command is run."""
    (repository.root / "deep/er").mkdir(parents=True)
    repository.commit(a="1\n")
    repository.write(a="2\n")
    (repository.root / "deep/er/n.py").write_text("3\n")
    assert added_in(working_tree(repository.root / "deep/er")) == {"a.py": ["2"], "deep/er/n.py": ["3"]}


def test_symbolic_links_are_never_followed(repository: Repository, tmp_path: Path) -> None:
    """Neither a link's target outside nor a folder behind a link is read."""
    (tmp_path / "secret.py").write_text("SECRET\n")
    repository.commit(a="1\n", b="1\n")
    (repository.root / "b.py").unlink()
    (repository.root / "b.py").symlink_to(tmp_path / "secret.py")
    (repository.root / "new.py").symlink_to(tmp_path / "secret.py")
    (repository.root / "folder").symlink_to(tmp_path)
    change = working_tree(repository.root)
    assert "SECRET" not in change.diff
    assert change.sources == {}
    assert {file.new_mode for file in files_of(change).values() if file.new_path != "b.py"} == {"120000"}


def test_untracked_files_read_as_git_would_write_them(repository: Repository) -> None:
    """The diff made for untracked files equals git's own once they are added."""
    names = ["plain.py", "with space.py", 'q"uo\\te.py', "tab\there.py", "日本.py", "a b/c.py"]
    for name in names:
        (repository.root / name).parent.mkdir(exist_ok=True)
        (repository.root / name).write_text(f"{name!r}\nlast", encoding="utf-8")
    (repository.root / "crlf.py").write_bytes(b"a\r\nb\r\n\x0cc\rd\n")
    (repository.root / "latin.py").write_bytes(b"# caf\xe9\n")
    (repository.root / "empty.py").write_bytes(b"")
    (repository.root / "binary.py").write_bytes(b"a\0b")
    (repository.root / "run.py").write_text("x\n")
    (repository.root / "run.py").chmod(0o755)
    ours = working_tree(repository.root)
    repository.git("add", "-A")
    assert files_of(ours) == files_of(staged(repository.root))
    assert ours.sources["latin.py"] == "# caf\ufffd\n"
    assert "binary.py" not in ours.sources


def test_submodules_show_as_submodules(repository: Repository, tmp_path: Path) -> None:
    """A submodule is one line with its commit, whatever its work tree holds."""
    other = Repository(tmp_path / "other")
    other.git("init", "-q")
    other.commit(x="1\n")
    repository.commit(a="1\n")
    repository.git("submodule", "--quiet", "add", str(other.root), "sub")
    (repository.root / "sub/dirty.py").write_text("x")
    files = files_of(working_tree(repository.root))
    assert files.keys() == {".gitmodules", "sub"}
    assert files["sub"].new_mode == "160000"


def test_a_repository_inside_is_left_alone(repository: Repository) -> None:
    """An untracked repository in the work tree is not reviewed as files."""
    inner = Repository(repository.root / "inner")
    inner.git("init", "-q")
    inner.commit(x="1\n")
    assert working_tree(repository.root).diff == ""


def test_configuration_cannot_change_the_diff_or_run_programs(repository: Repository, tmp_path: Path) -> None:
    """External diff, text conversion, prefixes, colours and monitors of the repository have no effect."""
    repository.commit(a="1\n")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    (repository.root / ".gitattributes").write_text("*.py diff=odd\n")
    repository.commit()
    for name in ("diff.external", "diff.odd.command", "diff.odd.textconv", "core.fsmonitor", "core.pager"):
        repository.git("config", name, str(program))
    for name in ("diff.noprefix", "diff.mnemonicPrefix", "diff.relative", "log.showSignature"):
        repository.git("config", name, "true")
    repository.git("config", "color.ui", "always")
    repository.git("config", "diff.context", "0")
    (tmp_path / "ran").unlink(missing_ok=True)
    repository.write(a="2\n")
    assert added_in(working_tree(repository.root)) == {"a.py": ["2"]}
    commit(repository.root, "HEAD")
    assert not (tmp_path / "ran").exists()


def test_git_variables_of_a_hook_do_not_lead_elsewhere(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIT_DIR and an index of another repository are ignored, the index of this one's hook is used."""
    repository.commit(a="1\n")
    repository.write(a="2\n")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere/index"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    assert added_in(working_tree(repository.root)) == {"a.py": ["2"]}
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/next-index")
    assert files_of(staged(repository.root))["a.py"].status is FileStatus.DELETED


def test_nothing_is_written(repository: Repository) -> None:
    """Reading a change leaves every file of the repository as it was."""
    repository.commit(a="1\n")
    repository.write(a="2\n", b="3\n")
    os.utime(repository.root / "a.py", (1, 1))

    def state() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in repository.root.rglob("*") if path.is_file()}

    before = state()
    working_tree(repository.root)
    staged(repository.root)
    commit(repository.root, "HEAD")
    assert state() == before


def test_a_shallow_clone_without_the_parent_says_so(repository: Repository, tmp_path: Path) -> None:
    """The last commit of a depth-1 clone is not taken for one that adds the whole project."""
    repository.commit(a="1\n")
    repository.commit(a="2\n")
    repository.git("clone", "-q", "--depth=1", f"file://{repository.root}", str(tmp_path / "clone"))
    with pytest.raises(InputError, match=r"shallow clone.*--deepen"):
        commit(tmp_path / "clone", "HEAD")


def test_a_bare_repository_has_commits(repository: Repository, tmp_path: Path) -> None:
    """Commits and ranges need no work tree; the working tree does, and git says so."""
    repository.commit(a="1\n")
    repository.git("clone", "-q", "--bare", str(repository.root), str(tmp_path / "bare"))
    assert added_in(commit(tmp_path / "bare", "main")) == {"a.py": ["1"]}
    with pytest.raises(InputError, match="work tree"):
        working_tree(tmp_path / "bare")


def test_sparse_checkouts_and_big_files_are_bounded(
    repository: Repository,
) -> None:
    """Files outside a sparse checkout are unchanged; big and binary files have no source."""
    (repository.root / "far").mkdir()
    (repository.root / "far/a.py").write_text("1\n")
    repository.commit(a="1\n")
    repository.git("sparse-checkout", "set", "--no-cone", "/*.py")
    repository.write(a="x" * 3_000_000 + "\n", b="small\n", c="binary\0\n")
    repository.git("add", "c.py")
    change = working_tree(repository.root)
    assert files_of(change).keys() == {"a.py", "b.py", "c.py"}
    assert change.sources == {"b.py": "small\n"}


@pytest.mark.parametrize("read", [working_tree, staged], ids=lambda read: read.__name__)
def test_renames_carry_both_names(repository: Repository, read: Callable[[Path], Change]) -> None:
    """A moved file is one file diff, and its source is found under the new name."""
    text = "".join(f"line {number}\n" for number in range(30))
    repository.commit(old=text)
    repository.git("mv", "old.py", "new name.py")
    (repository.root / "new name.py").write_text(text + "more\n")
    repository.git("add", "-A")
    change = read(repository.root)
    file = files_of(change)["new name.py"]
    assert (file.old_path, file.status) == ("old.py", FileStatus.RENAMED)
    assert change.sources == {"new name.py": text + "more\n"}


def test_working_tree_since_a_base(repository: Repository) -> None:
    """With a base the commits since then count as changed too; new files stay out where not asked for."""
    first = repository.commit(a="old = 1\n")
    repository.commit(b="new = 1\n")
    repository.write(a="old = 2\n", c="unknown = 1\n")
    assert set(files_of(working_tree(repository.root, base=first))) == {"a.py", "b.py", "c.py"}
    assert set(files_of(working_tree(repository.root, base=first, new_files=False))) == {"a.py", "b.py"}
    assert set(files_of(working_tree(repository.root, new_files=False))) == {"a.py"}


def test_branch_base(repository: Repository) -> None:
    """The base is where the branch left the one that is named, or main; None where there is none."""
    assert branch_base(repository.root) is None
    left = repository.commit(a="old = 1\n")
    repository.git("switch", "-qc", "topic")
    fork = repository.commit(a="old = 2\n")
    repository.git("branch", "release")
    repository.commit(a="old = 3\n")
    assert branch_base(repository.root) == left
    assert branch_base(repository.root, "release") == fork
    repository.git("branch", "-m", "main", "trunk")
    assert branch_base(repository.root) is None
    with pytest.raises(InputError, match="nowhere"):
        branch_base(repository.root, "nowhere")


def test_branch_base_prefers_the_remote(repository: Repository) -> None:
    """A local main that nobody pulled for weeks does not make old changes new."""
    repository.commit(a="old = 1\n")
    repository.git("switch", "-qc", "topic")
    pulled = repository.commit(a="old = 2\n")
    repository.git("update-ref", "refs/remotes/origin/main", pulled)
    repository.commit(a="old = 3\n")
    assert branch_base(repository.root) == pulled
    repository.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    assert branch_base(repository.root) == pulled
