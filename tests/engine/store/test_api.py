"""/v1/adapters and /v1/feedback: who may do what, what is taken in, and what reviews make of it."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from serving import Answer, Serve, Served, diff_of, finding_evals
from tiny_adapters import tiny_weights

from engine.adapters import CARD, CONFIG, FILES, MANIFEST, WEIGHTS, Adapter, load_adapter
from engine.api import adapters, feedback
from engine.api.uploads import sweep_uploads
from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.settings import EngineSettings
from engine.store.opening import Store, open_store
from engine.store.projects import StoredProjects
from engine.testing import FakeRunner
from engine.tokens import Role, TokenFile

MakeAdapter = Callable[..., Path]
BASE = "0" * 64
P = "group/app"
HOLD_LOCK = """
import sys, filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(EngineSettings(data_dir=tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def served(serve: Serve, store: Store) -> Served:
    """An engine with a store, open to anyone; its model says which adapter it has."""

    def load(adapter: Adapter | None) -> FakeRunner:
        return finding_evals(adapter=adapter.version if adapter else "")

    routes = (*adapters.routes(store.registry, BASE), *feedback.routes(store.feedback))
    return serve(load, projects=StoredProjects(store, None), more_routes=routes)


def form(parts: Mapping[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """Return a multipart body and its headers."""
    boundary = uuid.uuid4().hex
    rows = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in parts.items()
    ]
    body = b"".join(rows) + f"--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def files_of(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in (MANIFEST, *FILES)}


def upload(served: Served, parts: Mapping[str, bytes], project: str = P, **headers: str) -> Answer:
    body, sent = form(parts)
    return served.call("POST", f"/v1/adapters?project={project}", body, sent | headers)


def review(served: Served, project: str = P) -> dict[str, Any]:
    answer = served.call("POST", "/v1/reviews", {"diff": diff_of(), "project": project})
    assert answer.status == 200, answer.body
    return answer.json


def test_life_of_an_adapter_over_http(served: Served, make_adapter: MakeAdapter) -> None:
    """Uploaded, promoted, reviewed with, superseded, rolled back to, deleted: no restart in between."""
    sources = [make_adapter(fill=n) for n in (1, 2)]
    first, second = (load_adapter(source).version for source in sources)
    assert review(served)["adapter"] == ""
    for source in sources:
        assert upload(served, files_of(source)).status == 201
    body = {"project": P}
    for version in (first, second):
        assert served.call("POST", f"/v1/adapters/{version}/promote", body).json["state"] == "champion"
        assert review(served)["adapter"] == version
    assert review(served, "another")["adapter"] == ""
    assert served.call("POST", "/v1/adapters/roll-back", body).json["version"] == first
    assert review(served)["adapter"] == first
    listed = served.call("GET", f"/v1/adapters?project={P}&state=retired").json["adapters"]
    assert isinstance(listed, list)
    assert [entry["version"] for entry in listed] == [second]
    compared = served.call("POST", "/v1/adapters/compare", body | {"versions": [first, second]}).json
    assert compared["scores"] == {"f1": [0.01, 0.02]}
    assert served.call("DELETE", f"/v1/adapters/{first}?project={P}").status == 409
    assert served.call("DELETE", f"/v1/adapters/{second}?project={P}").status == 200
    assert served.call("GET", f"/v1/adapters/{second}?project={P}").status == 404
    history = served.call("GET", f"/v1/adapters/history?project={P}").json["promotions"]
    assert isinstance(history, list)
    assert [(entry["version"], entry["actor"]) for entry in history] == [
        (first, "local"),
        (second, "local"),
        (first, "local"),
    ]


def test_an_adapter_is_handed_out_file_by_file(served: Served, make_adapter: MakeAdapter) -> None:
    """As it was taken in; nothing but its files, and nothing of another project's."""
    source = make_adapter()
    version = load_adapter(source).version
    upload(served, files_of(source))
    for name, data in files_of(source).items():
        answer = served.call("GET", f"/v1/adapters/{version}/files/{name}?project={P}")
        assert (answer.status, answer.body) == (200, data)
    for name in ("other.json", "..%2Fmanifest.json", "manifestXjson"):
        assert served.call("GET", f"/v1/adapters/{version}/files/{name}?project={P}").status == 404
    assert served.call("GET", f"/v1/adapters/{version}/files/{MANIFEST}?project=other").status == 404


def test_an_adapter_tells_how_its_training_went(
    served: Served, store: Store, make_adapter: MakeAdapter
) -> None:
    """To whoever may see it; one from before curves were kept has none, one that was changed is refused."""
    curve = {"objective": "labels", "points": [[10, 2.5, None], [20, 1.5, 1.75]], "kept_step": None}
    told, silent = make_adapter(fill=1, curve=curve), make_adapter(fill=2)
    old = json.loads((silent / MANIFEST).read_text())
    del old["curve"]
    (silent / MANIFEST).write_text(json.dumps(old))
    versions = [upload(served, files_of(source)).json["version"] for source in (told, silent)]
    at = [f"/v1/adapters/{version}/curve?project=" for version in versions]
    assert served.call("GET", at[0] + P).json == curve
    assert served.call("GET", at[1] + P).json == {"objective": "labels", "points": [], "kept_step": None}
    assert served.call("GET", at[0] + "other").status == 404
    manifest = store.registry.directory(store.registry.show(P, str(versions[0]))) / MANIFEST
    manifest.write_text(manifest.read_text().replace("2.5", "0.5"))
    answer = served.call("GET", at[0] + P)
    assert (answer.status, "was changed" in answer.json["detail"]) == (422, True)


def test_a_curve_of_somebody_else_is_checked(served: Served, make_adapter: MakeAdapter) -> None:
    """Endless ones and ones that go back are refused with the manifest, field and all."""
    for points, said in (
        ([[step, 1.0, None] for step in range(201)], "at most 200"),
        ([[2, 1.0, None], [1, 1.0, None]], "each step is after the one before"),
    ):
        parts = files_of(make_adapter())
        manifest = json.loads(parts[MANIFEST]) | {"curve": {"points": points}}
        answer = upload(served, parts | {MANIFEST: json.dumps(manifest).encode()})
        assert answer.status == 422
        assert "manifest.json: curve" in answer.json["detail"]
        assert said in answer.json["detail"]


def change(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda parts: parts.update({name: data})


def drop(parts: dict[str, bytes]) -> None:
    del parts[CARD]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop, "missing: README.md"),
        (change("adapter_model.bin", b""), "the parts are"),
        (change("../evil", b""), "the parts are"),
        (change(WEIGHTS, tiny_weights(9)), "sha256 differs"),
        (change(CONFIG, b"{}"), "sha256 differs"),
        (change(MANIFEST, b"{}"), "manifest.json"),
    ],
)
def test_unfit_upload_is_refused(
    served: Served,
    store: Store,
    make_adapter: MakeAdapter,
    spoil: Callable[[dict[str, bytes]], None],
    message: str,
) -> None:
    """The answer names the fault and no path of the server; nothing is left of the upload."""
    parts = files_of(make_adapter())
    spoil(parts)
    answer = upload(served, parts)
    assert (answer.status, answer.json["type"]) == (422, "urn:tenken:problem:invalid-adapter")
    assert message in str(answer.json["detail"])
    assert str(store.registry.data) not in answer.body.decode()
    assert store.registry.list_adapters() == []
    assert list(store.registry.data.glob(".upload*")) == []


def test_only_what_nobody_receives_any_more_is_swept(tmp_path: Path) -> None:
    """An upload that goes on stays, in this process or another; what was left behind goes, locks as well."""
    going_on = (sys.executable, "-c", HOLD_LOCK, str(tmp_path / ".upload-1.lock"))
    for name in (".upload-1", ".upload-2", ".upload-3", "adapters"):
        (tmp_path / name / "adapter").mkdir(parents=True)
    for name in (".upload-2.lock", ".upload-4.lock"):
        (tmp_path / name).touch()
    with subprocess.Popen(going_on, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        sweep_uploads(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".upload-1", ".upload-1.lock", "adapters"]
        process.kill()
    sweep_uploads(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["adapters"]


def test_the_data_directory_is_made_where_it_is_needed(
    served: Served, store: Store, make_adapter: MakeAdapter
) -> None:
    """With a database elsewhere nothing has made it before the first upload."""
    parts = files_of(make_adapter())
    data = store.registry.data
    moved = data.rename(data.with_name("elsewhere"))
    assert upload(served, {**parts, CARD: b"other"}).status == 422
    assert list(data.iterdir()) == []
    data.rmdir()
    moved.rename(data)


def test_adapter_of_another_base_is_refused(served: Served, make_adapter: MakeAdapter) -> None:
    """The engine has one base model."""
    answer = upload(served, files_of(make_adapter(base_sha256="1" * 64)))
    assert "another base model" in str(answer.json["detail"])


def test_part_over_its_limit_is_refused(served: Served, make_adapter: MakeAdapter) -> None:
    """413, before the rest is read."""
    parts = files_of(make_adapter()) | {CARD: bytes(2**22 + 1)}
    assert upload(served, parts).status == 413


@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
def test_bodies_that_are_no_form_are_refused(served: Served) -> None:
    """Another type is 415; a form without a boundary is 400, one without names 422."""
    cases = [
        ("application/json", b"{}", 415),
        ("application/x-tar", b"", 415),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=x", b"nonsense", 400),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=", 422),
    ]
    answers = [served.call("POST", "/v1/adapters", body, {"Content-Type": kind}) for kind, body, _ in cases]
    assert [answer.status for answer in answers] == [status for _, _, status in cases]


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/v1/adapters", Role.REVIEWER),
        ("GET", "/v1/adapters/history", Role.REVIEWER),
        ("POST", "/v1/adapters/compare", Role.REVIEWER),
        ("POST", "/v1/feedback", Role.REVIEWER),
        ("POST", "/v1/adapters", Role.TRAINER),
        ("POST", "/v1/adapters/tiny-000000000000/reject", Role.TRAINER),
        ("GET", "/v1/feedback", Role.TRAINER),
        ("GET", "/v1/feedback/export", Role.TRAINER),
        ("DELETE", f"/v1/feedback/{'a' * 16}", Role.TRAINER),
        ("POST", "/v1/adapters/tiny-000000000000/promote", Role.ADMIN),
        ("POST", "/v1/adapters/roll-back", Role.ADMIN),
        ("DELETE", "/v1/adapters/tiny-000000000000", Role.ADMIN),
    ],
)
def test_each_route_asks_for_its_role(
    serve: Serve, store: Store, tmp_path: Path, method: str, path: str, least: Role
) -> None:
    """Nobody below the role gets in, everybody from it upwards does, and no one into another's project."""
    tokens = TokenFile(tmp_path / "tokens.json")
    routes = (*adapters.routes(store.registry, BASE), *feedback.routes(store.feedback))
    served = serve(finding_evals(), tokens=tokens, projects=StoredProjects(store, None), more_routes=routes)
    statuses = {}
    for role in Role:
        headers = {"Authorization": f"Bearer {tokens.create(role)}"}
        statuses[role] = served.call(method, path, {}, headers).status
    assert {role for role, status in statuses.items() if status != 403} == {
        role for role in Role if role.includes(least)
    }
    assert served.call(method, path, {}).status == 401
    stranger = {"Authorization": f"Bearer {tokens.create(Role.ADMIN, ('other',))}"}
    entry = {"fingerprint": "a" * 16, "verdict": "wrong", "source": "mr"}
    body = {"project": P} | ({"versions": ["x"]} if path.endswith("compare") else {})
    body |= entry if path == "/v1/feedback" else {}
    assert served.call(method, f"{path}?project={P}", body, stranger).status == 403


def test_a_clock_that_is_ahead_does_not_have_the_last_word(served: Served) -> None:
    """What is said later holds, whatever time the one before claimed."""
    [finding] = review(served)["findings"]
    entry = {"fingerprint": finding["fingerprint"], "project": P, "source": "mr"}
    ahead = served.call(
        "POST", "/v1/feedback", {**entry, "verdict": "wrong", "created": "2999-01-01T00:00:00Z"}
    )
    assert str(ahead.json["created"]) < "2999"
    assert review(served)["findings"] == []
    served.call("POST", "/v1/feedback", {**entry, "verdict": "accepted"})
    assert len(review(served)["findings"]) == 1


def test_who_changes_their_mind_within_a_second_is_understood(served: Served) -> None:
    """Dismissed, shown again and dismissed again is dismissed."""
    [finding] = review(served)["findings"]
    for verdict in ("dismissed", "accepted", "dismissed"):
        said = Feedback(
            fingerprint=finding["fingerprint"],
            verdict=FeedbackVerdict(verdict),
            project=P,
            source=FeedbackSource.EDITOR,
        )
        served.call("POST", "/v1/feedback", said.model_dump(mode="json"))
    assert review(served)["findings"] == []


def test_dismissed_finding_stays_away(served: Served) -> None:
    """Feedback takes effect with the next review; removed, the finding is back."""
    [finding] = review(served)["findings"]
    entry = {
        "fingerprint": finding["fingerprint"],
        "verdict": "dismissed",
        "project": P,
        "source": "mr",
        "created": "2026-11-01T12:00:00Z",
    }
    for _ in range(2):
        assert served.call("POST", "/v1/feedback", entry).json["verdict"] == "dismissed"
    after = review(served)
    assert (after["findings"], after["suppressed"], after["verdict"]) == ([], 1, "clean")
    assert len(review(served, "another")["findings"]) == 1
    exported = served.call("GET", f"/v1/feedback/export?project={P}").body.splitlines()
    assert [json.loads(line)["fingerprint"] for line in exported] == [finding["fingerprint"]]
    removed = served.call("DELETE", f"/v1/feedback/{finding['fingerprint']}?project={P}").json
    assert removed == {"removed": 1}
    assert len(review(served)["findings"]) == 1


def test_bad_values_are_named(served: Served) -> None:
    """A state, a fingerprint or a field that there is not is 422 or 404, with its name."""
    assert "state" in str(served.call("GET", "/v1/adapters?state=best").json["detail"])
    assert "fingerprint" in str(served.call("GET", "/v1/feedback?fingerprint=x").json["detail"])
    answer = served.call("POST", "/v1/feedback", {"fingerprint": "x", "code": "secret"})
    assert answer.status == 422
    assert "secret" not in answer.body.decode()
    assert served.call("GET", "/v1/adapters/no-such").status == 404
