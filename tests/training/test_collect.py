"""Collecting from a GitLab that is strict, limited, broken or interrupted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from history_world import BASE, CHANGED, collected, world

from bot.fake_gitlab import FaultKind
from training.__main__ import main
from training.errors import GitLabRefused, GitLabUnavailable
from training.history.collect import ERRORS, STATE, merge_request_file
from training.history.records import Document, MergeRequestRecord, Quiet, Remark, SourceFile
from training.history.stages import MANIFEST

ROOT = Path(__file__).parents[2]
MARK = (
    "🟠 **major · bug** · 90% sure\n\nShared between calls.\n\n"
    "<!-- tenken:finding 0123456789abcdef category=bug severity=major adapter=team-1 -->"
)


def test_a_remark_comes_with_its_hunk_and_what_became_of_it(tmp_path: Path) -> None:
    """Author's role, MR, commit, time, URL, replies; the line was changed by a later version."""
    with world() as w:
        mr = w.open_mr()
        thread, note = w.say(mr, "A list as default is shared.", "shop/cart.py", new_line=3)
        w.reply(mr, thread, "Right, changed.", by=w.developer)
        head = mr.version.refs.head_sha
        w.push(mr, {**CHANGED, "shop/cart.py": CHANGED["shop/cart.py"].replace("rows=[]", "rows=()")})
        mr.state = "merged"
        w.collect(tmp_path)
    (remark,) = (record for record in collected(tmp_path) if isinstance(record, Remark))
    assert (remark.author.username, remark.author.role, remark.mr) == ("mia", 40, 1)
    assert (remark.path, remark.line, remark.head_sha) == ("shop/cart.py", 3, head)
    assert remark.created.replace(microsecond=0) == note.created_at.replace(microsecond=0)
    assert remark.url.endswith(f"/-/merge_requests/1#note_{note.id}")
    assert "+def total(rows=[]):" in remark.hunk.split("\n")
    assert [(reply.author.username, reply.body) for reply in remark.replies] == [("dan", "Right, changed.")]
    assert (remark.outcome.merged, remark.outcome.line_changed) == (True, True)


def test_the_bots_own_findings_keep_their_marker_and_thumbs(tmp_path: Path) -> None:
    """A marker counts in a bot's note alone; reactions are asked for where they decide a label."""
    with world() as w:
        mr = w.open_mr()
        _, own = w.say(mr, MARK, "shop/cart.py", by=w.fake.bot, new_line=3)
        w.say(mr, MARK, "shop/cart.py", by=w.stranger, new_line=4)
        own.awards.append((1, "thumbsdown", w.developer))
        w.collect(tmp_path)
        asked = [each.path for each in w.fake.requests if each.path.endswith("award_emoji")]
    first, second = (record for record in collected(tmp_path) if isinstance(record, Remark))
    assert first.mark is not None
    assert (first.mark.fingerprint, first.mark.category, first.mark.adapter) == (
        "0123456789abcdef",
        "bug",
        "team-1",
    )
    assert (first.outcome.thumbs_down, second.mark, second.author.role) == (1, None, 0)
    assert len(asked) == 1


def test_rules_wiki_code_and_quiet_hunks_come_too(tmp_path: Path) -> None:
    """Lock files are no code; hunks are quiet only in files that somebody remarked on."""
    with world() as w:
        w.project.wiki["review-rules"] = "Prefer tuples."
        w.say(w.open_mr(), "Shared default.", "shop/cart.py", new_line=3)
        w.collect(tmp_path)
    records = collected(tmp_path)
    documents = {record.path: record.text for record in records if isinstance(record, Document)}
    assert documents == {
        "review-rules": "Prefer tuples.",
        "README.md": BASE["README.md"],
        "CONTRIBUTING.md": BASE["CONTRIBUTING.md"],
    }
    assert [r.path for r in records if isinstance(r, SourceFile)] == ["shop/cart.py", "shop/prices.py"]
    assert [r.path for r in records if isinstance(r, Quiet)] == ["shop/cart.py"]
    assert [r.title for r in records if isinstance(r, MergeRequestRecord)] == ["Change 1"]


def test_system_and_internal_notes_stay_where_they_are(tmp_path: Path) -> None:
    """What GitLab wrote is no remark, and what was written for few is not for training."""
    with world() as w:
        mr = w.open_mr()
        for note in (w.say(mr, "assigned to @dan")[1], w.say(mr, "Between us: this is bad.")[1]):
            note.system, note.internal = note.body.startswith("assigned"), note.body.startswith("Between")
        w.collect(tmp_path)
    assert [record.kind for record in collected(tmp_path) if isinstance(record, Remark)] == []


def test_a_second_run_reads_only_what_changed(tmp_path: Path) -> None:
    """By the time of change; a merge request that changed is replaced, not added."""
    with world() as w:
        mrs = [w.open_mr() for _ in range(3)]
        for mr in mrs:
            w.say(mr, "Shared default.", "shop/cart.py", new_line=3)
        w.collect(tmp_path)
        w.say(mrs[1], "And no test.", "shop/prices.py", new_line=2)
        w.fake.requests.clear()
        w.collect(tmp_path)
        read = [each.path for each in w.fake.requests if each.path.endswith("/discussions")]
        files = [each.path for each in w.fake.requests if each.path.endswith("/raw")]
    assert read == [f"/api/v4/projects/{w.project.id}/merge_requests/2/discussions"]
    assert files == []
    remarks = [record for record in collected(tmp_path) if isinstance(record, Remark)]
    assert Counter(remark.mr for remark in remarks) == {1: 1, 2: 2, 3: 1}


def test_a_list_that_changes_while_it_is_read_loses_nothing(tmp_path: Path) -> None:
    """More than two pages of merge requests; one of the first moves to the end behind the reader's back."""
    with world() as w:
        mrs = [w.open_mr({**BASE, "shop/prices.py": f"x = {number}\n"}) for number in range(230)]

        def touch(seconds: float) -> None:
            w.pauses.append(seconds)
            mrs[0].updated_at = w.fake.world.now()

        w.fake.fail(FaultKind.LIMITED_TEXT, path="merge_requests$", skip=1, retry_after=7)
        w.pauses = _Calling(touch)  # type: ignore[assignment]
        w.collect(tmp_path, sources=0)
    found = {record.mr for record in collected(tmp_path) if isinstance(record, MergeRequestRecord)}
    assert found == set(range(1, 231))


class _Calling(list[float]):
    def __init__(self, touch: object) -> None:
        self._touch = touch

    def append(self, seconds: float) -> None:
        if seconds == 7 and not self:
            super().append(seconds)
            self._touch(0.0)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("details", "pause"),
    [({"retry_after": 9}, 9.0), ({}, 5.0)],
    ids=["as long as GitLab says", "five seconds where it does not"],
)
def test_rate_limits_are_waited_for(tmp_path: Path, details: dict[str, int], pause: float) -> None:
    """The request is asked again, and nothing is missing."""
    with world() as w:
        w.say(w.open_mr(), "Shared default.", "shop/cart.py", new_line=3)
        w.fake.fail(FaultKind.LIMITED_JSON, path="discussions$", **details)
        manifest = w.collect(tmp_path)
        assert pause in w.pauses
    assert manifest.counts["errors"] == 0
    assert len([record for record in collected(tmp_path) if isinstance(record, Remark)]) == 1


def test_what_cannot_be_read_is_listed_and_tried_again(tmp_path: Path) -> None:
    """One merge request is refused, the others come; the next run gets it, without reading the rest."""
    with world() as w:
        for _ in range(3):
            w.say(w.open_mr(), "Shared default.", "shop/cart.py", new_line=3)
        w.fake.fail(FaultKind.CONFLICT, path="merge_requests/2/discussions$")
        manifest = w.collect(tmp_path)
        (row,) = map(json.loads, (tmp_path / ERRORS).read_text().splitlines())
        assert (manifest.counts["errors"], row["what"]) == (1, "merge request 2")
        assert "409" in row["reason"]
        assert {record.mr for record in collected(tmp_path) if isinstance(record, Remark)} == {1, 3}
        assert w.collect(tmp_path).counts["errors"] == 0
    assert {record.mr for record in collected(tmp_path) if isinstance(record, Remark)} == {1, 2, 3}


def test_an_item_of_a_strange_shape_is_listed(tmp_path: Path) -> None:
    """A server of another version may send anything; the others are read all the same."""
    with world() as w:
        good, strange = w.open_mr(), w.open_mr()
        w.say(good, "Shared default.", "shop/cart.py", new_line=3)
        _, note = w.say(strange, "Where?", "shop/cart.py", new_line=3)
        note.position = {"head_sha": "x", "new_path": "a", "line_range": ["neither", "nor"]}
        manifest = w.collect(tmp_path)
    assert manifest.counts["errors"] == 1
    assert "merge request 2" in (tmp_path / ERRORS).read_text()


def test_what_is_gone_is_not_asked_for_again(tmp_path: Path) -> None:
    """A merge request that was deleted meanwhile is listed once; a failed one is in the list once."""
    with world() as w:
        for _ in range(2):
            w.say(w.open_mr(), "Shared default.", "shop/cart.py", new_line=3)
        w.fake.fail(FaultKind.CONFLICT, path="merge_requests/2/discussions$", times=2)
        w.collect(tmp_path)
        w.say(w.project.merge_requests[2], "More.")
        w.collect(tmp_path)
        assert json.loads((tmp_path / STATE).read_text())["failed"] == []
        w.fake.fail(FaultKind.CONFLICT, path="merge_requests/2/discussions$")
        w.collect(tmp_path, again=True)
        del w.project.merge_requests[2]
        assert w.collect(tmp_path).counts["errors"] == 1
        assert w.collect(tmp_path).counts["errors"] == 0


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Nor is one that is no text; both are left out."""
    with world() as w:
        big = {**BASE, "shop/big.py": "x = 1\n" * 100_000, "shop/odd.py": b"\xff\xfe"}
        w.fake.world.commit(w.project, "main", big)
        w.collect(tmp_path, file_bytes=1000)
    found = [record.path for record in collected(tmp_path) if isinstance(record, SourceFile)]
    assert found == ["shop/cart.py", "shop/prices.py"]


def test_a_merge_request_that_breaks_the_server_is_passed_over(tmp_path: Path) -> None:
    """However often it is asked for; the others are read, and the next run tries it again."""
    with world() as w:
        for _ in range(4):
            w.say(w.open_mr(), "Shared default.", "shop/cart.py", new_line=3)
        w.fake.fail(FaultKind.BAD_GATEWAY, path="merge_requests/2/discussions$", times=6)
        assert w.collect(tmp_path).counts["errors"] == 1
        assert "502" in (tmp_path / ERRORS).read_text()
        assert {record.mr for record in collected(tmp_path) if isinstance(record, Remark)} == {1, 3, 4}
        w.collect(tmp_path)
    assert {record.mr for record in collected(tmp_path) if isinstance(record, Remark)} == {1, 2, 3, 4}


def test_a_server_that_is_gone_leaves_what_was_read(tmp_path: Path) -> None:
    """The run ends with an error and without a manifest; the next one reads what is missing alone."""
    with world() as w:
        for _ in range(7):
            w.say(w.open_mr(), "Shared default.", "shop/cart.py", new_line=3)
        w.fake.fail(FaultKind.BAD_GATEWAY, path="merge_requests/[3-9]/discussions$", times=18)
        with pytest.raises(GitLabUnavailable, match="502"):
            w.collect(tmp_path)
        assert not (tmp_path / MANIFEST).exists()
        assert merge_request_file(tmp_path, 2).exists()
        w.fake.requests.clear()
        w.collect(tmp_path)
        read = [each.path.split("/")[-2] for each in w.fake.requests if each.path.endswith("/discussions")]
    assert read == ["3", "4", "5", "6", "7"]
    assert len([record for record in collected(tmp_path) if isinstance(record, Remark)]) == 7


def test_a_killed_run_is_resumed(tmp_path: Path) -> None:
    """kill -9 at a random place loses nothing and doubles nothing."""
    with world() as w:
        for _ in range(12):
            w.say(w.open_mr(), "Shared default.", "shop/cart.py", new_line=3)
        w.fake.fail(FaultKind.SILENT_BEFORE, path="merge_requests/7/discussions$", seconds=600)
        arguments = ["collect", "--url", w.fake.url, "--project", "team/shop", "--out", str(tmp_path / "out")]
        environment = {**os.environ, "TENKEN_GITLAB_TOKEN": w.fake.bot.token}
        running = subprocess.Popen([sys.executable, "-m", "training", *arguments], env=environment, cwd=ROOT)
        while not merge_request_file(tmp_path / "out", 6).exists():
            assert running.poll() is None
            time.sleep(0.01)
        running.kill()
        running.wait()
        w.fake.options.faults.clear()
        assert not (tmp_path / "out" / MANIFEST).exists()
        w.collect(tmp_path / "out")
    remarks = [record.mr for record in collected(tmp_path / "out") if isinstance(record, Remark)]
    assert remarks == list(range(1, 13))


def test_a_refused_token_ends_the_run() -> None:
    """Everything else would be refused too."""
    with world() as w, pytest.raises(GitLabRefused, match="401") as caught:
        w.server(token="wrong").get("/projects/team%2Fshop")
    assert caught.value.is_about_the_token


def test_nothing_is_written_to_gitlab(tmp_path: Path) -> None:
    """Every request is a GET, and only to this server."""
    with world() as w:
        w.say(w.open_mr(), "Shared default.", "shop/cart.py", new_line=3)
        w.collect(tmp_path, reactions=True)
        assert {each.method for each in w.fake.requests} == {"GET"}


def test_a_folder_is_of_one_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another project's history is not mixed into it; exit code 2."""
    with world() as w:
        w.collect(tmp_path)
        other = w.fake.add_project("team/other", BASE)
        os.environ["TENKEN_GITLAB_TOKEN"] = w.fake.bot.token
        try:
            code = main(["collect", "--url", w.fake.url, "--project", str(other.id), "--out", str(tmp_path)])
        finally:
            del os.environ["TENKEN_GITLAB_TOKEN"]
    assert code == 2
    assert "holds the history of team/shop" in capsys.readouterr().err


def test_a_jobs_token_takes_diffs_from_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may read neither the project, versions nor roles; a commit that is not there gives no hunk."""
    clone = tmp_path / "clone"
    with world() as w:
        mr = w.open_mr()
        w.say(mr, "A list as default is shared.", "shop/cart.py", new_line=3)
        shas = _commit(clone, BASE, CHANGED)
        known = mr.version.refs
        w.push(mr, {**CHANGED, "shop/cart.py": CHANGED["shop/cart.py"].replace("rows=[]", "rows=()")})
        w.say(mr, "And this?", "shop/cart.py", new_line=4)
        for note, (base, head) in zip(mr.notes, (shas, ("f" * 40, "e" * 40)), strict=True):
            assert note.position is not None
            note.position |= {"base_sha": base, "head_sha": head}
        assert known.head_sha != shas[1]
        for path in ("/versions", "/members/", f"/projects/{w.project.id}$", "team%2Fshop", "/wikis"):
            w.fake.fail(FaultKind.CONFLICT, path=path, times=99)
        for name, value in (
            ("CI_JOB_TOKEN", w.fake.bot.token), ("CI_PROJECT_ID", str(w.project.id)),
            ("CI_PROJECT_PATH", "team/shop"), ("CI_DEFAULT_BRANCH", "main"),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("TENKEN_GITLAB_TOKEN", raising=False)
        command = ["collect", "--url", w.fake.url, "--project", "team/shop", "--out", str(tmp_path / "out")]
        assert main([*command, "--clone", str(clone)]) == 0
    first, second = (record for record in collected(tmp_path / "out") if isinstance(record, Remark))
    assert "+def total(rows=[]):" in first.hunk.split("\n")
    assert (first.author.role, second.hunk) == (None, "")


def _commit(folder: Path, *trees: dict[str, str]) -> tuple[str, ...]:
    """Make a repository with a commit for each tree."""
    folder.mkdir()
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]

    def git(*arguments: str) -> str:
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    shas = []
    for tree in trees:
        for path, text in tree.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        git("add", "-A")
        git("commit", "-qm", "x")
        shas.append(git("rev-parse", "HEAD"))
    return tuple(shas)


def test_a_token_is_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It has two places, neither of them the command line; no token at all is exit code 2."""
    for name in ("TENKEN_GITLAB_TOKEN", "CI_JOB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    code = main(["collect", "--url", "http://127.0.0.1:9", "--project", "a/b", "--out", "x"])
    assert code == 2
    assert "TENKEN_GITLAB_TOKEN" in capsys.readouterr().err


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    """Rather than begin anew over what is there."""
    (tmp_path / STATE).write_text("{")
    with world() as w, pytest.raises(Exception, match="not the state of a collection"):
        w.collect(tmp_path)
