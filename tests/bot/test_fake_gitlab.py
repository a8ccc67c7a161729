"""The fake is as strict as the facts about GitLab say, and stricter where GitLab is silent."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, FormData, web
from scenes import Scene, scene

from bot.fake_gitlab import FaultKind
from bot.fake_gitlab.positions import Refusal, check
from bot.fake_gitlab.quick_actions import extract
from bot.fake_gitlab.shapes import LineRange, Position, RangeEnd
from bot.fake_gitlab.trees import compare, lines_of
from engine.listening import listening
from engine.parsing import parse_diff


def run(test: Callable[[Scene], Awaitable[None]], **details: Any) -> None:
    async def play() -> None:
        async with scene(**details) as stage:
            await test(stage)

    asyncio.run(play())


async def ask(
    stage: Scene, method: str, path: str, body: object = None, token: str | None = None
) -> tuple[int, Mapping[str, str], str]:
    headers = {"PRIVATE-TOKEN": stage.fake.bot.token if token is None else token}
    async with (
        ClientSession(headers=headers) as session,
        session.request(method, f"{stage.fake.url}/api/v4{path}", json=body) as answer,
    ):
        return answer.status, dict(answer.headers), await answer.text()


def mr_path(stage: Scene) -> str:
    return f"/projects/{stage.project.id}/merge_requests/{stage.mr.iid}"


@pytest.mark.parametrize(
    ("body", "left", "names"),
    [
        ("/review\r\nplease", "/review\nplease", []),
        ("/label ~x\n/review", "/review", ["label"]),
        ("/MERGE", "", ["merge"]),
        ("text\n/close\nmore", "text\nmore", ["close"]),
        (" /close", " /close", []),
        ("```\n/close\n```", "```\n/close\n```", []),
        ("```suggestion:-0+0\n/close\n```\nend", "```suggestion:-0+0\n/close\n```\nend", []),
        ("```\n/close", "```", ["close"]),
        ("~~~\n/close\n~~~", "~~~\n~~~", ["close"]),
        ("````\n/close\n````", "````\n````", ["close"]),
        ("`/close`", "`/close`", []),
        ("/closet", "/closet", []),
        ("a  \n\n", "a", []),
    ],
)
def test_quick_actions_are_run_and_cut_out(body: str, left: str, names: list[str]) -> None:
    """By name, at a line's start, unless a closed fence of three backticks is around them."""
    text, actions = extract(body)
    assert (text, [action.name for action in actions]) == (left, names)


BEFORE = {
    "a.py": b"one\ntwo\nthree\n",
    "gone.txt": b"x\ny\n",
    "old.md": b"a\nb\nc\nd\n",
    "bin": b"\0a",
    "p": b"q\nr\n",
}
AFTER = {
    "a.py": b"one\n2\n2b\nthree",
    "new.txt": b"n\n",
    "new.md": b"a\nb\nC\nd\n",
    "bin": b"\0b",
    "moved": b"q\nr\n",
}


def test_diffs_are_those_of_git(tmp_path: Path) -> None:
    """Hunks, renames and flags agree with git's own."""
    for name, tree in (("old", BEFORE), ("new", AFTER)):
        (tmp_path / name).mkdir()
        for path, data in tree.items():
            (tmp_path / name / path).write_bytes(data)
    done = subprocess.run(
        ["git", "diff", "--no-index", "-M", "--no-prefix", "old", "new"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    hunks = [
        line for line in done.stdout.splitlines() if line[:1] in "@+- \\" and line[:4] not in ("--- ", "+++ ")
    ]
    ours = [change for change in compare(BEFORE, AFTER) if change.diff.startswith("@@")]
    assert sorted(hunks) == sorted("".join(change.diff for change in ours).splitlines())
    renamed = {(c.old_path, c.new_path) for c in compare(BEFORE, AFTER) if c.renamed_file}
    assert renamed == {("old.md", "new.md"), ("p", "moved")}
    assert "rename from old/old.md" in done.stdout


def test_line_codes_count_as_gitlab_does() -> None:
    """An added line carries the number of the next old line, a removed one that of the next new line."""
    change = next(change for change in compare(BEFORE, AFTER) if change.new_path == "a.py")
    digest = hashlib.sha1(b"a.py").hexdigest()
    found = [(line.kind, line.old, line.new, line.code) for line in lines_of(BEFORE, AFTER, change)]
    assert found == [
        ("context", 1, 1, f"{digest}_1_1"),
        ("removed", 2, None, f"{digest}_2_2"),
        ("removed", 3, None, f"{digest}_3_2"),
        ("added", None, 2, f"{digest}_4_2"),
        ("added", None, 3, f"{digest}_4_3"),
        ("added", None, 4, f"{digest}_4_4"),
    ]


def position(stage: Scene, path: str = "src/app.py", **fields: Any) -> Position:
    refs = stage.refs
    base: dict[str, Any] = {
        "base_sha": refs.base_sha, "start_sha": refs.start_sha, "head_sha": refs.head_sha,
        "position_type": "text", "old_path": path, "new_path": path,
    }  # fmt: skip
    return Position(**{**base, **fields})


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("src/app.py", {"new_line": 6}),  # added
        ("src/app.py", {"old_line": 5}),  # removed
        ("src/app.py", {"old_line": 4, "new_line": 4}),  # unchanged, inside a hunk
        ("src/app.py", {"old_line": 15, "new_line": 16}),  # unchanged, outside all hunks
        ("src/app.py", {"position_type": "file"}),
        ("docs/new name.md", {"old_path": "docs/old name.md", "new_line": 4}),
        ("gone.txt", {"old_line": 1}),
        ("日本語/新規.py", {"new_line": 3}),
    ],
)
def test_the_table_of_positions(path: str, fields: dict[str, Any]) -> None:
    """Each row of it is taken."""

    async def test(stage: Scene) -> None:
        check(stage.mr, position(stage, path, **fields))

    run(test)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("src/app.py", {"new_line": 4}),  # the most common mistake
        ("src/app.py", {"old_line": 4}),
        ("src/app.py", {"old_line": 5, "new_line": 5}),
        ("src/app.py", {"old_line": 15, "new_line": 15}),
        ("src/app.py", {"new_line": 99}),
        ("src/app.py", {}),
        ("src/app.py", {"position_type": "file", "new_line": 6}),
        ("src/app.py", {"new_line": 6, "head_sha": "0" * 40}),
        ("docs/new name.md", {"new_line": 4}),  # of a rename, both paths
        ("nowhere.py", {"new_line": 1}),
    ],
)
def test_any_other_position_is_refused(path: str, fields: dict[str, Any]) -> None:
    """Nothing else is."""

    async def test(stage: Scene) -> None:
        wrong = position(stage, path, **fields)
        with pytest.raises(Refusal):
            check(stage.mr, wrong)

    run(test)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (("5_5", "new"), ("6_7", "old")),
        (("6_5", "old"), ("6_6", "new")),
        (("6_6", "new"), ("6_5", "new")),
        (("1_9", "new"), ("6_6", "new")),
    ],
    ids=["end elsewhere", "wrong type", "backwards", "no such line"],
)
def test_wrong_line_ranges_are_refused(start: tuple[str, str], end: tuple[str, str]) -> None:
    """GitLab would take them and show them elsewhere."""

    async def test(stage: Scene) -> None:
        digest = hashlib.sha1(b"src/app.py").hexdigest()
        edges = [RangeEnd(line_code=f"{digest}_{code}", type=kind) for code, kind in (start, end)]  # type: ignore[arg-type]
        wrong = position(stage, new_line=6, line_range=LineRange(start=edges[0], end=edges[1]))
        with pytest.raises(Refusal):
            check(stage.mr, wrong)

    run(test)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({}, "body is missing"),
        ({"body": ""}, "body is invalid"),
        ({"body": "x", "extra": 1}, "extra is invalid"),
        ({"body": "x", "position": {"position_type": "text"}}, "position[base_sha] is missing"),
    ],
)
def test_requests_are_checked(body: object, complaint: str) -> None:
    """What is missing, of another kind or unknown is a 400 in the form of GitLab's parameter checks."""

    async def test(stage: Scene) -> None:
        status, _, text = await ask(stage, "POST", f"{mr_path(stage)}/discussions", body)
        assert status == 400
        assert json.loads(text)["error"].startswith(complaint)

    run(test)


def test_answers_are_shaped_as_gitlabs() -> None:
    """201 with the object, 202 for actions alone, 204 without a type, 401, 404."""

    async def test(stage: Scene) -> None:
        notes = f"{mr_path(stage)}/notes"
        assert (await ask(stage, "POST", notes, {"body": "x"}))[0] == 201
        status, _, text = await ask(stage, "POST", notes, {"body": "/close"})
        assert (status, "id" in json.loads(text)) == (202, False)
        status, headers, text = await ask(stage, "POST", f"{mr_path(stage)}/draft_notes/bulk_publish")
        assert (status, "Content-Type" in headers, text) == (204, False, "")
        status, _, text = await ask(stage, "GET", "/user", token="wrong")
        assert (status, text) == (401, '{"message": "401 Unauthorized"}')
        assert (await ask(stage, "GET", "/projects/team%2Fapp"))[0] == 200
        assert (await ask(stage, "GET", "/projects/none"))[0] == 404
        assert (await ask(stage, "GET", "/nowhere"))[0] == 404

    run(test)


def test_drafts_with_a_wrong_position_are_lost() -> None:
    """GitLab checks them only when they are published."""

    async def test(stage: Scene) -> None:
        wrong = position(stage, new_line=4).model_dump(exclude_unset=True)
        status, _, _ = await ask(
            stage, "POST", f"{mr_path(stage)}/draft_notes", {"note": "x", "position": wrong}
        )
        assert status == 201
        await ask(stage, "POST", f"{mr_path(stage)}/draft_notes/bulk_publish")
        assert list(stage.mr.notes) == []
        assert len(stage.fake.world.refused) == 1

    run(test)


def test_packages_keep_every_upload() -> None:
    """The newest of a name is downloaded; its digest is told."""

    async def test(stage: Scene) -> None:
        path = f"/projects/{stage.project.id}/packages/generic/adapter/1.0/a.bin"
        for data in (b"one", b"two"):
            async with (
                ClientSession(headers={"PRIVATE-TOKEN": stage.fake.bot.token}) as session,
                session.put(f"{stage.fake.url}/api/v4{path}", data=data) as answer,
            ):
                assert answer.status == 201
        status, headers, text = await ask(stage, "GET", path)
        assert (status, text) == (200, "two")
        assert headers["X-Checksum-SHA256"] == hashlib.sha256(b"two").hexdigest()
        _, _, found = await ask(stage, "GET", f"/projects/{stage.project.id}/packages?package_name=adapter")
        (package,) = json.loads(found)
        _, _, files = await ask(
            stage, "GET", f"/projects/{stage.project.id}/packages/{package['id']}/package_files"
        )
        assert [each["size"] for each in json.loads(files)] == [3, 3]

    run(test)


def test_packages_are_strict() -> None:
    """Names have a form, a project may forbid duplicates, and a search finds what is like it, too."""

    async def test(stage: Scene) -> None:
        at = f"{stage.fake.url}/api/v4/projects/{stage.project.id}/packages"
        async with ClientSession(headers={"JOB-TOKEN": stage.fake.bot.token}) as session:

            async def put(path: str) -> tuple[int, str]:
                async with session.put(f"{at}/generic/{path}", data=b"x") as answer:
                    return answer.status, await answer.text()

            assert await put("my-adapter/1..0/a") == (400, '{"error": "package_version is invalid"}')
            assert await put("my~adapter/1.0/a") == (400, '{"error": "package_name is invalid"}')
            stage.fake.options.duplicate_packages = False
            assert (await put("my-adapter/1.0/a"))[0] == 201
            status, text = await put("my-adapter/1.0/a")
            assert status == 400
            assert "Duplicate package is not allowed" in text
            assert (await put("my-adapter/2.0/a"))[0] == 201
            for query, versions in (
                ("package_name=adapter", ["1.0", "2.0"]),
                ("package_name=adapter&order_by=created_at&sort=desc", ["2.0", "1.0"]),
                ("package_name=other", []),
                ("package_type=npm", []),
            ):
                async with session.get(f"{at}?{query}") as answer:
                    assert [row["version"] for row in await answer.json()] == versions
            async with session.get(f"{at}?order_by=size") as answer:
                assert answer.status == 400

    run(test)


def test_what_else_belongs_to_a_project() -> None:
    """Versions with their diffs, the raw diff, files, wiki pages and uploads."""

    async def test(stage: Scene) -> None:
        version = stage.mr.version
        _, _, text = await ask(stage, "GET", f"{mr_path(stage)}/versions/{version.id}")
        assert len(json.loads(text)["diffs"]) == len(version.changes)
        _, _, text = await ask(stage, "GET", f"{mr_path(stage)}/raw_diffs")
        assert {file.new_path for file in parse_diff(text)} == {change.new_path for change in version.changes}
        project = f"/projects/{stage.project.id}"
        _, _, text = await ask(stage, "GET", f"{project}/repository/tree?recursive=true&path=src")
        assert [row["path"] for row in json.loads(text)] == ["src/app.py"]
        stage.project.wiki["rules"] = "# Rules"
        _, _, text = await ask(stage, "GET", f"{project}/wikis?with_content=1")
        assert [page["content"] for page in json.loads(text)] == ["# Rules"]
        form = FormData()
        form.add_field("file", b"picture", filename="a b.png")
        async with (
            ClientSession(headers={"PRIVATE-TOKEN": stage.fake.bot.token}) as session,
            session.post(f"{stage.fake.url}/api/v4{project}/uploads", data=form) as answer,
        ):
            assert answer.status == 201
            assert stage.project.uploads[(await answer.json())["url"]] == b"picture"

    run(test)


def test_faults_hit_what_they_name() -> None:
    """By method and path, after those that are spared, as often as was said; the log has what was dropped."""

    async def test(stage: Scene) -> None:
        stage.fake.fail(FaultKind.DROPPED_AFTER, method="POST", path="notes$", skip=1)
        notes = f"{mr_path(stage)}/notes"
        assert (await ask(stage, "POST", notes, {"body": "1"}))[0] == 201
        with pytest.raises(ClientError):
            await ask(stage, "POST", notes, {"body": "2"})
        assert (await ask(stage, "POST", notes, {"body": "3"}))[0] == 201
        assert [each.status for each in stage.fake.requests] == [201, 0, 201]
        assert [note.body for note in stage.mr.notes] == ["1", "2", "3"]

    run(test)


def test_events_are_delivered() -> None:
    """Notes, the bot's own too, edits, reactions and pushes reach the hook, with all headers."""
    seen: list[tuple[Mapping[str, str], Any]] = []

    async def receive(request: web.Request) -> web.Response:
        seen.append((dict(request.headers), await request.json()))
        return web.Response()

    async def test(stage: Scene) -> None:
        app = web.Application()
        app.router.add_post("/hook", receive)
        async with listening(app, shutdown_seconds=1) as port:
            url = f"http://127.0.0.1:{port}/hook"
            stage.fake.add_hook(stage.project, url, token="secret", signing_key="whsec_c2VjcmV0")
            pen = stage.fake.as_person(stage.author, stage.project, stage.mr)
            thread, note = pen.note("/review\r")
            pen.edit(thread, note, "/review --full")
            await stage.gitlab.create_note(stage.ref, "own", internal=True)
            await stage.gitlab.react(stage.ref, note.id, "eyes")
            stage.fake.push(stage.project, stage.mr, {"a": "b\n"})
            await stage.fake.webhooks.settle()
            kinds = sorted((headers["X-Gitlab-Event"], body["event_type"]) for headers, body in seen)
            assert kinds == [
                ("Confidential Note Hook", "confidential_note"),
                ("Emoji Hook", "award"),
                ("Merge Request Hook", "merge_request"),
                ("Note Hook", "note"),
                ("Note Hook", "note"),
            ]
            keys = {headers["Idempotency-Key"] for headers, _ in seen}
            assert len(keys) == 5
            assert {headers["X-Gitlab-Token"] for headers, _ in seen} == {"secret"}
            assert all(headers["webhook-signature"].startswith("v1,") for headers, _ in seen)
            bodies = {body["object_attributes"].get("note") for _, body in seen}
            assert {"/review", "/review --full", "own"} <= bodies
            again = stage.fake.webhooks.deliveries[0]
            assert await stage.fake.webhooks.again(again) == 200
            assert seen[-1][0]["Idempotency-Key"] == again.headers["Idempotency-Key"]

    run(test)


def test_stale_reads_find_the_version_before() -> None:
    """Just after a push, a server may still answer with what was."""

    async def test(stage: Scene) -> None:
        before = stage.refs
        stage.fake.push(stage.project, stage.mr, {"a": "b\n"})
        stage.mr.stale_reads = 1
        heads = [(await stage.gitlab.versions(stage.ref))[0].refs for _ in range(2)]
        assert heads == [before, stage.refs]

    run(test)
