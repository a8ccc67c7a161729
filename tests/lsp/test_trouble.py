"""What goes wrong is said once, shown as a state, costs no finding, and passes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from certificates import self_signed
from editors import TestEditor, editing
from serving import Served, diff_of, finding_evals, serving
from test_editing import add_eval, ended

from engine.api.admission import ReviewLimits
from engine.server import ServerOptions, tls_context
from engine.tokens import Role, TokenFile

TEXT = "x = 1\nz = eval(x)\nnew = eval(x)\n"


@contextlib.contextmanager
def dead_port() -> Iterator[int]:
    """Give a port on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_an_engine_that_goes_away(app: Path, engine: Served, tmp_path: Path) -> None:
    """One message for the whole outage; findings stay; what a person asks for is tried and said anew."""

    async def run() -> None:
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = await add_eval(editor, app)
            engine.stop()
            await asyncio.to_thread(until_gone, engine.port)
            for version in (3, 4):
                text = TEXT + f"v = {version}\n"
                editor.edit(uri, version, text)
                editor.save(uri, text)
                status = await editor.until_state("unreachable")
            assert status["health"] == "warning"
            assert isinstance(status["retryIn"], int)
            assert status["findings"] == 1
            assert "cannot reach" in status["message"]
            assert editor.lines(uri) == [2]
            assert len(editor.messages()) == 1
            assert list(ended(editor).values())[-1].startswith("The engine does not answer")
            await editor.command("review")
            await editor.until(lambda: len(editor.messages()) == 2)
            shown = await editor.command("showStatus")
            while shown["state"] == "reviewing":  # it is tried again by itself
                shown = await editor.command("showStatus")
            assert shown["state"] == "unreachable"
            assert "1 file not reviewed yet" in shown["markdown"]

    asyncio.run(run())


def until_gone(port: int) -> None:
    """Return when nobody answers any more."""
    with contextlib.suppress(OSError):
        while True:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            time.sleep(0.01)


def change(editor: TestEditor, app: Path) -> str:
    """Open a file, put two evals in it, and save it."""
    uri = editor.open(app)
    editor.edit(uri, 2, TEXT)
    editor.save(uri, TEXT)
    return uri


def test_an_engine_that_comes_back(app: Path, tmp_path: Path) -> None:
    """What could not be reviewed is, as soon as settings name an engine that answers."""

    async def run() -> None:
        with dead_port() as port:
            settings = {"engineUrl": f"http://127.0.0.1:{port}"}
            async with editing(app.parent, settings, home=tmp_path) as editor:
                uri = change(editor, app)
                await editor.until_state("unreachable")
                with serving(finding_evals()) as served:
                    await editor.configure(engineUrl=served.url)
                    editor.save(uri)
                    await editor.until_lines(uri, 2, 3)

    asyncio.run(run())


def test_a_token_that_is_refused(app: Path, tmp_path: Path) -> None:
    """It is said once, and nothing is tried again until a person changes something."""
    tokens = TokenFile(tmp_path / "tokens.json")
    token = tokens.create(Role.REVIEWER)

    async def run(url: str) -> None:
        settings = {"engineUrl": url, "engineToken": "wrong"}
        async with editing(app.parent, settings, home=tmp_path) as editor:
            uri = change(editor, app)
            status = await editor.until_state("unauthorized")
            assert (status["health"], status["retryIn"]) == ("error", None)
            await editor.configure(engineToken=token)
            await editor.command("review", uri=uri)
            await editor.until_lines(uri, 2, 3)
            assert len(editor.messages()) == 1
            assert token not in str(editor.told)

    with serving(finding_evals(), tokens=tokens) as served:
        asyncio.run(run(served.url))


def test_a_model_that_loads(app: Path, tmp_path: Path) -> None:
    """No message: the state says so, and the review follows by itself."""
    loading = Event()

    def load(adapter: object) -> object:
        loading.wait(600)
        return finding_evals()

    async def run(url: str) -> None:
        async with editing(app.parent, {"engineUrl": url}, home=tmp_path) as editor:
            uri = change(editor, app)
            status = await editor.until_state("loading")
            assert status["health"] == "ok"
            loading.set()
            await editor.until_lines(uri, 2, 3)
            assert editor.messages() == []

    with serving(load, wait=False) as served:
        asyncio.run(run(served.url))


def test_a_queue_that_is_full(app: Path, tmp_path: Path) -> None:
    """No message: the state says so and when it is tried again, and who asks by hand is heard at once."""
    hold = Event()

    async def run(served: Served) -> None:
        body = {"diff": diff_of()}
        taken = await asyncio.to_thread(served.call, "POST", "/v1/reviews", body, {"Prefer": "respond-async"})
        assert taken.status == 202
        async with editing(app.parent, {"engineUrl": served.url}, home=tmp_path) as editor:
            uri = change(editor, app)
            status = await editor.until_state("queued")
            assert status["health"] == "ok"
            assert status["retryIn"] is not None
            hold.set()
            while editor.lines(uri) != [2, 3]:
                await editor.command("review", uri=uri)
            assert not [text for text in editor.messages() if "nothing" not in text]

    options = ServerOptions(limits=ReviewLimits(open_reviews=1), drain_seconds=0.2)
    with serving(finding_evals(hold=hold), options=options) as served:
        asyncio.run(run(served))


def test_a_repository_that_is_excluded(app: Path, engine: Served, tmp_path: Path) -> None:
    """The state says why nothing is reviewed, the engine is not asked, and who asks by hand is told."""
    app.with_name(".tenken.toml").write_text("exclude = ['*']\n")

    async def run() -> None:
        async with editing(app.parent, {"engineUrl": "http://127.0.0.1:9"}, home=tmp_path) as editor:
            uri = change(editor, app)
            status = await editor.until_state("excluded")
            assert (status["health"], editor.messages()) == ("ok", [])
            assert "exclude" in status["message"]
            await editor.command("review", uri=uri)
            await editor.until(lambda: "exclude" in "".join(editor.messages()))
            app.with_name(".tenken.toml").unlink()
            await editor.configure(engineUrl=engine.url)
            editor.save(uri)
            await editor.until_lines(uri, 2, 3)
            await editor.until_state("idle")

    asyncio.run(run())


def test_no_changes(app: Path, engine: Served, tmp_path: Path) -> None:
    """A save says nothing of it; who asks by hand is told, once for each time."""

    async def run() -> None:
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = editor.open(app)
            editor.save(uri)
            await editor.until_state("idle")
            for count in (1, 2):
                await editor.command("review", uri=uri)
                await editor.until(lambda count=count: len(editor.messages()) == count)
            assert set(editor.messages()) == {"Tenken: nothing to review, nothing changed."}
            assert editor.progress() == []

    asyncio.run(run())


def test_a_certificate_authority_of_ones_own(app: Path, tmp_path: Path) -> None:
    """Without `caFile` the engine is refused and that setting named; with it all is well."""
    certificate, key = self_signed(tmp_path)

    async def run(url: str) -> None:
        async with editing(app.parent, {"engineUrl": url}, home=tmp_path) as editor:
            uri = change(editor, app)
            status = await editor.until_state("unreachable")
            assert "caFile names what to trust" in status["message"]
            await editor.configure(caFile=str(certificate))
            await editor.command("review", uri=uri)
            await editor.until_lines(uri, 2, 3)
            assert len(editor.messages()) == 1

    options = ServerOptions(tls=tls_context(certificate, key), drain_seconds=0.2)
    with serving(finding_evals(), options=options) as served:
        asyncio.run(run(f"https://localhost:{served.port}"))


def test_a_proxy(app: Path, tmp_path: Path) -> None:
    """The engine is asked through it; what its variable says holds where the setting does not."""

    async def run(url: str) -> None:
        settings = {"engineUrl": "http://engine.example:81", "proxy": url}
        async with editing(app.parent, settings, home=tmp_path) as editor:
            await editor.until_lines(change(editor, app), 2, 3)
        del settings["proxy"]
        text = f"{TEXT}more = eval(x)\n"
        async with editing(app.parent, settings, home=tmp_path, http_proxy=url, no_proxy="") as editor:
            editor.save(editor.open(app, text), text)
            await editor.until_lines(app.as_uri(), 2, 3, 4)

    with serving(finding_evals()) as served:
        asyncio.run(run(served.url))  # it takes what is asked of it, whatever host is named


def test_a_review_that_takes_too_long(app: Path, tmp_path: Path) -> None:
    """It is ended, with the reason and the setting's name."""
    hold = Event()

    async def run(url: str) -> None:
        settings = {"engineUrl": url, "timeoutSeconds": 0.3}
        async with editing(app.parent, settings, home=tmp_path) as editor:
            change(editor, app)
            status = await editor.until_state("failed")
            assert "timeoutSeconds" in status["message"]
            assert len(editor.messages()) == 1
            hold.set()

    with serving(finding_evals(hold=hold)) as served:
        asyncio.run(run(served.url))


@pytest.mark.parametrize(
    ("settings", "state", "words"),
    [
        ({"maxFile": 1}, "misconfigured", "maxFile: unknown setting; did you mean maxFiles?"),
        ({"maxFiles": 0, "scope": "x"}, "misconfigured", "maxFiles: Input should be greater"),
        ({"engineUrl": "ftp://engine"}, "misconfigured", "https://host:port"),
        ({"caFile": "/nowhere.pem", "engineUrl": "https://engine"}, "misconfigured", "/nowhere.pem"),
        ({"baseBranch": "nowhere"}, "misconfigured", "baseBranch: no commit is called 'nowhere'"),
        ({"embedded": False, "engineUrl": None}, "noEngine", "engineUrl"),
    ],
)
def test_settings_that_cannot_be_used(
    settings: dict[str, object], state: str, words: str, app: Path, engine: Served, tmp_path: Path
) -> None:
    """The key is named, in one message."""

    async def run() -> None:
        # With an engine, that there is none is not another message.
        async with editing(app.parent, {"engineUrl": engine.url, **settings}, home=tmp_path) as editor:
            change(editor, app)
            assert words in (await editor.until_state(state))["message"]
            assert len(editor.messages()) == 1
            assert words in editor.messages()[0]

    asyncio.run(run())


def test_a_project_file_that_cannot_be_used(app: Path, engine: Served, tmp_path: Path) -> None:
    """The key and line are named once, known findings stay, and mending it is enough."""

    async def run() -> None:
        config = app.with_name(".tenken.toml")
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = await add_eval(editor, app)
            config.write_text("langage = 'ja'\n")
            editor.save(uri)
            status = await editor.until_state("misconfigured")
            assert ".tenken.toml:1: langage" in status["message"]
            editor.save(uri)
            config.write_text("exclude = ['app.py']\n")
            editor.save(uri)
            await editor.until_state("idle")
            await editor.until_lines(uri)
            assert len(editor.messages()) == 1

    asyncio.run(run())


def test_switched_off(app: Path, engine: Served, tmp_path: Path) -> None:
    """Nothing is reviewed and nothing shown, until it is switched on."""

    async def run() -> None:
        settings = {"engineUrl": engine.url, "enabled": False}
        async with editing(app.parent, settings, home=tmp_path) as editor:
            uri = change(editor, app)
            await editor.until_state("off")
            await editor.configure(enabled=True)
            editor.save(uri)
            await editor.until_lines(uri, 2, 3)
            editor.settings["enabled"] = False
            editor.notify("workspace/didChangeConfiguration", {"settings": {}})
            await editor.until_lines(uri)

    asyncio.run(run())


def test_arguments_that_cannot_be_used(app: Path, tmp_path: Path) -> None:
    """A command says which part; a finding that is gone is said, not raised."""

    async def run() -> None:
        async with editing(app.parent, home=tmp_path) as editor:
            for name, argument, words in (
                ("wrong", {"uri": "x"}, "fingerprint: is needed"),
                ("wrong", {"uri": "x", "fingerprint": "y", "reason": "z"}, "reason: one of notTrue"),
                ("review", {"urn": "x"}, "urn: Extra inputs"),
                ("reviewFile", {}, "uri: is needed"),
                ("review", {"uri": "https://host/a.py"}, "uri: names no file"),
            ):
                with pytest.raises(RuntimeError, match=f"-32602: tenken.{name}: {words}"):
                    await editor.command(name, **argument)
            await editor.command("dismiss", uri=app.as_uri(), fingerprint="0" * 16)
            assert "no longer there" in editor.messages()[-1]
            with pytest.raises(RuntimeError, match="-32601"):
                await editor.request("tenken/nothing")
            assert len(editor.messages()) == 1

    asyncio.run(run())
