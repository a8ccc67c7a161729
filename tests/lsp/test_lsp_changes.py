"""Changes are those of the documents as the editor has them, in git's own hunks."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_repository import Repository
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.diffs import FileStatus, LineKind
from engine.errors import ConfigError, InputError
from engine.parsing import parse_diff
from lsp.changes import Compared, FileChange, read_changes
from lsp.settings import Scope

HEAD = Compared(Scope.HEAD)


def by_path(changes: tuple[FileChange, ...]) -> dict[str, FileChange]:
    return {change.path: change for change in changes}


def added(change: FileChange) -> list[tuple[int | None, str]]:
    """Return number and text of each added line of a change that can be parsed."""
    (file,) = parse_diff(change.diff)
    assert file.new_path == change.path
    return [
        (line.new_number, line.text)
        for hunk in file.hunks
        for line in hunk.lines
        if line.kind is LineKind.ADDED
    ]


def test_unsaved_documents_are_reviewed_as_they_are(repository: Repository) -> None:
    """A dirty document's own lines count, those on disk don't; one that is as its file is git's business."""
    repository.commit(a="one\ntwo\nthree\n", b="b = 1\n", c="c = 1\n")
    repository.write(a="one\nDISK\nthree\n", b="b = 2\n")
    buffers = {"a.py": "one\ntwo\nthree\nbuffer\n", "b.py": "b = 2\n", "c.py": "c = 1\n"}
    found = by_path(read_changes(repository.root, buffers, HEAD))
    assert found.keys() == {"a.py", "b.py"}
    assert added(found["a.py"]) == [(4, "buffer")]
    assert found["a.py"].text == buffers["a.py"]
    assert added(found["b.py"]) == [(1, "b = 2")]


def test_a_document_that_undoes_the_change_has_none(repository: Repository) -> None:
    """The file differs on disk, the document is as it was committed: nothing to review."""
    repository.commit(a="one\n")
    repository.write(a="two\n")
    assert read_changes(repository.root, {"a.py": "one\n"}, HEAD) == ()


def test_documents_git_does_not_know(repository: Repository) -> None:
    """A new file's document is all added, unless it is ignored, was never saved, or is not wanted."""
    repository.commit()
    (repository.root / ".gitignore").write_text("ignored.py\n")
    repository.git("add", ".gitignore")
    repository.write(new="x = 1\n", ignored="z = 0\n")
    buffers = {"new.py": "x = 2\n", "never saved.py": "y = 1\n", "ignored.py": "z = 1\n"}
    found = by_path(read_changes(repository.root, buffers, HEAD))
    assert found.keys() == {".gitignore", "new.py"}
    assert added(found["new.py"]) == [(1, "x = 2")]
    without = Compared(Scope.HEAD, untracked=False)
    assert by_path(read_changes(repository.root, buffers, without)).keys() == {".gitignore"}


def test_renamed_and_deleted_documents(repository: Repository) -> None:
    """A rename is compared with its old name; an open document outlives its file."""
    text = "".join(f"line {number}\n" for number in range(20))
    repository.commit(old=text, gone="one\n")
    repository.git("mv", "old.py", "new name.py")
    (repository.root / "gone.py").unlink()
    buffers = {"new name.py": text + "more\n", "gone.py": "one\ntwo\n"}
    found = by_path(read_changes(repository.root, buffers, HEAD))
    assert added(found["new name.py"]) == [(21, "more")]
    (renamed,) = parse_diff(found["new name.py"].diff)
    assert (renamed.status, renamed.old_path) == (FileStatus.RENAMED, "old.py")
    assert added(found["gone.py"]) == [(2, "two")]


def test_line_ends_and_marks_are_no_change(repository: Repository) -> None:
    """An editor's \\r\\n over a committed \\n, or a byte order mark it does not show, changes no line."""
    repository.commit(a="one\ntwo\n")
    (repository.root / "b.py").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    repository.git("add", "-A")
    repository.git("commit", "-qm", "mark")
    buffers = {"a.py": "one\r\ntwo\r\nthree\r\n", "b.py": "one\r\ntwo\r\nthree\r\n"}
    found = by_path(read_changes(repository.root, buffers, HEAD))
    assert added(found["a.py"]) == [(3, "three")]
    assert added(found["b.py"]) == [(3, "three")]
    assert read_changes(repository.root, {"b.py": "one\r\ntwo\r\n"}, HEAD) == ()


def test_scopes(repository: Repository) -> None:
    """Since the branch left its base, since the last commit, or what is staged: without documents then."""
    repository.commit(a="a = 1\n", b="b = 1\n", c="c = 1\n")
    repository.git("switch", "-qc", "topic")
    repository.commit(a="a = 2\n")
    repository.write(b="b = 2\n")
    repository.git("add", "b.py")
    repository.write(c="c = 2\n")
    buffers = {"c.py": "c = 3\n"}
    root = repository.root
    assert by_path(read_changes(root, buffers)).keys() == {"a.py", "b.py", "c.py"}
    assert by_path(read_changes(root, buffers, HEAD)).keys() == {"b.py", "c.py"}
    assert by_path(read_changes(root, buffers, Compared(Scope.STAGED))).keys() == {"b.py"}
    with pytest.raises(ConfigError, match=r"baseBranch.*nowhere"):
        read_changes(root, {}, Compared(base_branch="nowhere"))


def test_before_the_first_commit(repository: Repository) -> None:
    """Everything is new, open documents too."""
    repository.write(a="a = 1\n")
    found = by_path(read_changes(repository.root, {"a.py": "a = 2\n"}))
    assert added(found["a.py"]) == [(1, "a = 2")]


def test_what_is_no_repository(tmp_path: Path) -> None:
    """git's own words say so."""
    with pytest.raises(InputError, match="not a git repository"):
        read_changes(tmp_path, {})


def test_awkward_names_and_contents(repository: Repository) -> None:
    """Names with quotes, tabs and other scripts, and rows that look like headers, stay apart."""
    names = ["点 検.py", 'quo"te.py', "tab\there.py"]
    for name in names:
        (repository.root / name).write_text("x = 1\n")
    repository.git("add", "-A")
    repository.git("commit", "-qm", "names")
    row = "diff --git a/fake.py b/fake.py\n"
    buffers = {name: f"x = 1\n{row}" for name in names}
    (repository.root / "plain.py").write_text(f"{row}-- a\n++ b\n@@ -1 +1 @@\n")
    found = by_path(read_changes(repository.root, buffers, HEAD))
    assert found.keys() == {*names, "plain.py"}
    for name in names:
        assert added(found[name]) == [(2, row.rstrip())]
    assert len(added(found["plain.py"])) == 4


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.sampled_from("ab \n"), max_size=30),
    st.text(st.sampled_from("abé \n"), max_size=30),
)
def test_a_document_is_reviewed_as_if_it_were_saved(repository: Repository, old: str, new: str) -> None:
    """Saving changes nothing of what is reviewed."""
    repository.commit(a=old)
    unsaved = read_changes(repository.root, {"a.py": new}, HEAD)
    repository.write(a=new)
    saved = read_changes(repository.root, {"a.py": new}, HEAD)
    assert [added(change) for change in unsaved] == [added(change) for change in saved if change.diff]
