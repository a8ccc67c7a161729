"""The plugin in a real Neovim, in front of the real server and an engine with a fake model."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from git_repository import Repository
from headless import PLUGIN, SECONDS, Neovim, neovim
from hearing import heard
from merge_requests import branch
from real_model import ORDERS, embedded_engine, held, until_asked
from real_model import SECONDS as MODEL_SECONDS
from serving import Served, finding_evals, serving
from test_trouble import until_gone

from engine.store.opening import Store
from lsp.outages import State
from lsp.server import COMMANDS
from lsp.settings import LspSettings
from lsp.verdicts import WrongReason

TEXT = "x = 1\nz = eval(x)\ny = 2\n"
SUGGESTION = json.dumps({"severity": "major", "message": "No `eval`.", "suggestion": "z = safe(x)"})
PROGRESS = """
ended = 0
vim.api.nvim_create_autocmd('LspProgress', {
  pattern = 'end', callback = function() ended = ended + 1 end })
"""
STATES = """
states = {}
vim.api.nvim_create_autocmd('User', {
  pattern = 'TenkenStatus', callback = function() states[require('tenken.status').get().state] = true end })
"""
UNDERLINED = """
local marks = vim.api.nvim_buf_get_extmarks(0, -1, 0, -1, { details = true })
local marked = vim.tbl_filter(function(mark)
  return (mark[4].hl_group or ''):find('^DiagnosticUnderline') ~= nil
end, marks)
return vim.tbl_map(function(mark) return mark[2] + 1 end, marked)
"""
HELP = (PLUGIN / "doc" / "tenken.txt").read_text("utf-8")

Open = Callable[..., AbstractContextManager[Neovim]]


def run_once(program: str, command: str) -> subprocess.CompletedProcess[bytes]:
    """Run an Ex command in a Neovim of its own, which that command has to end."""
    options = ["--headless", "-u", "NONE", "-i", "NONE", "-c", f"try | {command} | catch | cq | endtry"]
    return subprocess.run(
        [program, *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
    )


def installed() -> str | None:
    """Return a Neovim that is new enough; tests/neovim.sh gives one."""
    program = os.environ.get("TENKEN_TEST_NEOVIM") or shutil.which("nvim")
    if program is None:
        return None
    asked = run_once(program, "exe has('nvim-0.11') ? 'qa!' : 'cq'")
    return program if asked.returncode == 0 else None


@pytest.fixture(scope="session")
def program() -> str:
    """The Neovim to run."""
    found = installed()
    if found is None:
        pytest.skip("there is no Neovim 0.11; tests/neovim.sh installs it")
    return found


@pytest.fixture
def start(program: str, tmp_path: Path) -> Open:
    """Start a Neovim."""
    return partial(neovim, program=program, home=tmp_path / "home")


def with_engine(url: str) -> str:
    """Return the configuration of a user whom nothing but Neovim helps."""
    settings = f"{{ tenken = {{ engineUrl = '{url}', debounceMs = 20 }} }}"
    return f"vim.lsp.config('tenken', {{ settings = {settings} }})"


@pytest.fixture
def changed(app: Path) -> Path:
    """A committed file with an eval since."""
    app.write_text(TEXT, "utf-8")
    return app


def test_from_a_save_to_a_fix(start: Open, app: Path, store: Store) -> None:
    """A saved change is reviewed, its finding follows the text, and its suggestion goes where it belongs."""
    from engine.api import feedback

    routes = feedback.routes(store.feedback)
    runner = finding_evals(replies=lambda request: SUGGESTION)
    with serving(runner, more_routes=routes) as engine, start(app, with_engine(engine.url)) as editor:
        editor.until_state("idle")
        editor.lua("vim.api.nvim_buf_set_lines(0, 1, 1, false, { 'z = eval(x)' }) vim.cmd.write()")
        editor.until_lines(2)
        editor.lua("vim.api.nvim_buf_set_lines(0, 0, 0, false, { '# above' })")
        editor.until_lines(3)
        editor.to(3)
        editor.command("Tenken apply")
        editor.until("return vim.api.nvim_buf_get_lines(0, 2, 3, false)[1] == 'z = safe(x)'")
        assert editor.lines() == ["# above", "x = 1", "z = safe(x)", "y = 2"]
        editor.until_lines()
        assert heard(store, 1) == [("applied", "")]


@pytest.mark.parametrize(
    ("typed", "verdicts"),
    [
        ("dismiss", []),
        ("wontfix we live with it", [("dismissed", "we live with it")]),
        ("wrong intended it is a test", [("wrong", "intended: it is a test")]),
    ],
)
def test_what_is_said_of_a_finding(
    typed: str, verdicts: list[tuple[str, str]], start: Open, changed: Path, engine: Served, store: Store
) -> None:
    """Each hides the finding at the cursor, tells the engine what it should know, and can be undone."""
    with start(changed, with_engine(engine.url)) as editor:
        editor.until_state("idle")
        editor.command("Tenken review")
        editor.until_lines(2)
        editor.command("Tenken " + typed)
        assert editor.told() == ["Tenken: no finding on this line."]
        editor.to(2)
        editor.command("Tenken " + typed)
        editor.until_lines()
        assert heard(store, len(verdicts)) == verdicts
        editor.command("Tenken undo")
        editor.until_lines(2)


def test_a_reason_is_asked_for(start: Open, changed: Path, engine: Served, store: Store) -> None:
    """Who gives no reason chooses one."""
    with start(changed, with_engine(engine.url)) as editor:
        editor.until_state("idle")
        editor.command("Tenken review")
        editor.until_lines(2)
        editor.to(2)
        editor.lua("vim.ui.select = function(items, _, choose) choose(items[3]) end")
        editor.command("Tenken wrong")
        editor.until_lines()
        assert heard(store, 1) == [("wrong", "wrongLine")]


def test_answers_are_shown(start: Open, changed: Path, engine: Served) -> None:
    """Explanation and status come in a window, a prompt into the register, all findings into a list."""
    with start(changed, with_engine(engine.url)) as editor:
        editor.until_state("idle")
        editor.command("Tenken review")
        editor.until_lines(2)
        editor.to(2)
        editor.command("Tenken explain")
        editor.until("return #vim.api.nvim_list_wins() == 2")
        assert "It adds up." in editor.floats()
        editor.command("fclose!")
        editor.command("Tenken status")
        editor.until("return #vim.api.nvim_list_wins() == 2")
        assert engine.url in editor.floats()
        editor.command("fclose!")
        editor.command("Tenken prompt")
        editor.until("return vim.fn.getreg('\"'):find('eval', 1, true)")
        editor.command("Tenken list")
        assert editor.lua("return vim.tbl_map(function(i) return i.lnum end, vim.fn.getqflist())") == [2]
        editor.command("wincmd p")
        editor.command("Tenken thread")
        editor.until("return vim.fn.execute('messages'):find('gitlabUrl', 1, true)")


def test_a_thread_is_opened(start: Open, tmp_path: Path) -> None:
    """The one on the cursor's line; it is no finding, so nothing else can be done with it."""

    async def main() -> None:
        async with branch(tmp_path) as at:
            thread = at.discuss("Why?")
            settings = json.dumps({"tenken": at.settings})
            lua = f"vim.lsp.config('tenken', {{ settings = vim.json.decode([==[{settings}]==]) }})"
            lua += "\nopened = {} vim.ui.open = function(url) table.insert(opened, url) end"
            await asyncio.to_thread(use, at.app, lua, at.url(thread))

    def use(file: Path, lua: str, url: str) -> None:
        with start(file, lua) as editor:
            editor.until("return #vim.diagnostic.get(0) == 1")
            editor.to(2)
            editor.command("Tenken dismiss")
            editor.command("Tenken list")
            assert editor.told() == ["Tenken: no finding on this line.", "Tenken: no findings."]
            editor.command("Tenken thread")
            assert editor.until("return #opened > 0 and opened") == [url]

    asyncio.run(main())


def test_a_code_action_shows_its_answer(start: Open, changed: Path, engine: Served) -> None:
    """What is asked through Neovim's own menu is answered like a command of ours."""
    with start(changed, with_engine(engine.url)) as editor:
        editor.until_state("idle")
        editor.command("Tenken file")
        editor.until_lines(2)
        editor.to(2)
        wanted = "return action.command.command == 'tenken.explain'"
        editor.lua(f"vim.lsp.buf.code_action({{ apply = true, filter = function(action) {wanted} end }})")
        editor.until("return #vim.api.nvim_list_wins() == 2")
        assert "It adds up." in editor.floats()


def test_progress_and_cancel(start: Open, changed: Path) -> None:
    """A review that runs shows in the status line and as progress, and stops when told to."""
    entered, release = Event(), Event()

    def wait(request: object) -> str:
        entered.set()
        release.wait(600)
        return SUGGESTION

    with serving(finding_evals(replies=wait)) as engine:
        try:
            with start(changed, with_engine(engine.url) + PROGRESS) as editor:
                editor.until_state("idle")
                assert editor.lua("return require('tenken').statusline()") == "Tenken"
                before = editor.lua("return ended")
                editor.command("Tenken review")
                assert entered.wait(SECONDS)
                editor.until("return require('tenken').statusline() == 'Tenken 0/1'")
                editor.command("Tenken cancel")
                editor.until("return ended > ...", before)
                editor.until_state("idle")
                release.set()
                editor.until_lines()
        finally:
            release.set()


def test_an_engine_that_is_away(start: Open, changed: Path) -> None:
    """The status line says so, and the health check what the server knows."""
    with start(changed, with_engine("http://127.0.0.1:9")) as editor:
        editor.until_state("idle")
        editor.command("Tenken review")
        editor.until_state("unreachable")
        # Now and then it is tried again.
        editor.until("return require('tenken').statusline() == 'Tenken no answer'")
        report = ""
        while "WARNING State: unreachable" not in report:
            assert "State: " not in report or "State: reviewing" in report, report
            editor.command("checkhealth tenken")
            report = "\n".join(editor.lines())
        assert "OK tenken-lsp: tenken-lsp " in report
        assert str(changed.parent) in report


def test_an_engine_that_goes_away(start: Open, changed: Path, engine: Served) -> None:
    """What was found stays while the engine is gone, and still follows the text."""
    with start(changed, with_engine(engine.url)) as editor:
        editor.until_state("idle")
        editor.command("Tenken review")
        editor.until_lines(2)
        engine.stop()
        until_gone(engine.port)
        editor.lua("vim.api.nvim_buf_set_lines(0, 0, 0, false, { 'a = 0' }) vim.cmd.write()")
        editor.until_state("unreachable")
        editor.until_lines(3)


@pytest.mark.model
def test_the_real_model(start: Open, repository: Repository, tmp_path: Path) -> None:
    """With no engine named the embedded one does it all; killed, it is begun again."""
    repository.commit(orders="import hashlib\n")
    repository.write(orders=ORDERS)
    with start(repository.root / "orders.py", PROGRESS) as editor:
        editor.until_state("idle")
        editor.command("Tenken review")
        editor.until_lines(5, 13, 20, 26, seconds=MODEL_SECONDS)
        editor.until_state("idle", seconds=MODEL_SECONDS)
        assert editor.lua("return ended") > 0
        look_at(editor)
        mend(editor)
        stop_and_kill(editor, tmp_path / "home")


def look_at(editor: Neovim) -> None:
    """See what findings look like: marked lines, a list of them, a hover with all there is to say of one."""
    assert set(editor.lua(UNDERLINED)) == {5, 13, 20, 26}
    editor.command("Tenken list")
    assert editor.lua("return vim.tbl_map(function(i) return i.lnum end, vim.fn.getqflist())") == [
        5,
        13,
        20,
        26,
    ]
    editor.command("cclose")
    editor.to(20)
    editor.lua("vim.lsp.buf.hover()")
    editor.until("return #vim.api.nvim_list_wins() == 2")
    said = editor.floats()
    editor.command("fclose!")
    for part in ("Do not use bare", "83% sure", "except Exception:", "adapter starter-"):
        assert part in said
    editor.command("Tenken explain")
    editor.until("return #vim.api.nvim_list_wins() == 2", seconds=MODEL_SECONDS)
    assert len(editor.floats().splitlines()) > 2
    editor.command("fclose!")


def mend(editor: Neovim) -> None:
    """Type above a finding, take its suggestion, and hide others."""
    editor.lua("vim.api.nvim_buf_set_lines(0, 0, 0, false, { '# ours' })")
    editor.until_lines(6, 14, 21, 27)
    editor.to(21)
    editor.command("Tenken apply")
    editor.until_lines(6, 14, 27)
    editor.to(6)
    editor.command("Tenken dismiss")
    editor.until_lines(14, 27)
    editor.to(27)
    editor.command("Tenken wrong intended")
    editor.until_lines(14)
    fixed = "# ours\n" + ORDERS.replace("except:", "except Exception:")
    assert editor.lines() == fixed.splitlines()
    editor.command("write")


def stop_and_kill(editor: Neovim, home: Path) -> None:
    """What is hidden stays so; a review is stopped, the engine killed in another, and a third is whole."""
    editor.until_state("idle", seconds=MODEL_SECONDS)
    ended = editor.lua("return ended")
    with held(home):
        editor.command("Tenken! review")
        editor.until("return require('tenken').statusline() == 'Tenken 0/1 (1)'", seconds=MODEL_SECONDS)
    editor.command("Tenken cancel")
    editor.until("return ended > ...", ended)
    editor.until_state("idle", seconds=MODEL_SECONDS)
    with held(home) as process:
        editor.command("Tenken! review")
        editor.until("return require('tenken').statusline() == 'Tenken 0/1 (1)'", seconds=MODEL_SECONDS)
        until_asked(process)
        editor.lua(STATES)
        os.kill(process, signal.SIGKILL)
    # Nothing is unknown, so that it is forgotten a while later.
    editor.until("return states.unreachable", seconds=MODEL_SECONDS)
    editor.until_lines(14)
    editor.command("Tenken! review")
    editor.until_state("idle", seconds=MODEL_SECONDS)
    editor.until_lines(14)
    assert editor.lua("return require('tenken.status').get().engine") == "embedded"
    assert embedded_engine(home) not in (None, process)


def test_two_repositories_share_a_server(start: Open, changed: Path, engine: Served, tmp_path: Path) -> None:
    """A file of another repository is reviewed by the server that runs."""
    other = Repository(tmp_path / "other")
    other.git("init", "-q", "-b", "main")
    other.commit(b="q = 1\n")
    other.write(b="q = 1\nr = 2\ns = eval(q)\n")
    with start(changed, with_engine(engine.url)) as editor:
        editor.until_state("idle")
        editor.command(f"edit {other.root / 'b.py'}")
        editor.until("return #vim.lsp.get_clients({ bufnr = 0, name = 'tenken' }) == 1")
        editor.command("Tenken review")
        editor.until("return #require('tenken.findings').all(0) == 1")
        assert editor.lua("return #require('tenken.server').clients()") == 1
        folders = editor.lua("return require('tenken.server').clients()[1].workspace_folders")
        assert [folder["name"] for folder in folders] == [str(changed.parent), str(other.root)]


def test_setup_as_a_plugin_manager_calls_it(start: Open, changed: Path, engine: Served) -> None:
    """setup() is enough, before the first file and while a server runs; what it cannot use it names."""
    options = f"{{ settings = {{ engineUrl = '{engine.url}', debounceMs = 20 }} }}"
    with start(changed, f"require('tenken').setup({options})") as editor:
        editor.until_state("idle")
        editor.command("Tenken review")
        editor.until_lines(2)
        editor.lua("require('tenken').setup({ settings = { enabled = false } })")
        editor.until_state("off")
        editor.lua("require('tenken').setup({ setings = {} })")
        editor.lua("require('tenken').setup({ cmd = 'tenken-lsp' })")
        assert editor.told()[-2:] == [
            "Tenken: setup() knows no key setings, only cmd and settings.",
            "Tenken: setup() expects for the key cmd a table.",
        ]


def test_a_server_that_is_not_installed(start: Open, changed: Path) -> None:
    """One message in the user's language, however many files are opened; the health check says what to do."""
    with start(changed, server=False, LANG="ja_JP.UTF-8") as editor:
        (said,) = editor.until("return #told > 0 and told")
        assert said.startswith("Tenken: tenken-lsp を実行できません。")
        editor.command(f"edit {changed.parent / 'more.py'}")
        assert editor.told() == [said]
        editor.command("Tenken review")
        assert editor.told()[1].startswith("Tenken: ここではサーバーが動いていません。")
        editor.command("checkhealth tenken")
        assert "ERROR tenken-lsp を実行できません" in "\n".join(editor.lines())


def test_the_server_speaks_the_users_language(start: Open, changed: Path, engine: Served) -> None:
    """Neovim does not tell its user's locale; the plugin does."""
    with start(changed, with_engine(engine.url), LANG="ja_JP.UTF-8") as editor:
        editor.until_state("idle")
        editor.command("Tenken status")
        editor.until("return #vim.api.nvim_list_wins() == 2")
        assert re.search("[ぁ-ん]", editor.floats())


def test_a_command_waits_for_its_server(start: Open, changed: Path, engine: Served) -> None:
    """A plugin that is loaded by its first command does what that command says."""
    with start(changed, with_engine(engine.url) + "\nvim.g.tenken_enable = false") as editor:
        editor.lua("vim.lsp.enable('tenken') vim.cmd('Tenken review')")
        editor.until_lines(2)
        assert editor.told() == []


def test_from_a_buffer_without_a_file(start: Open, changed: Path, engine: Served) -> None:
    """Reviews that need no file begin in all folders; that of a file says that there is none."""
    with start(changed, with_engine(engine.url)) as editor:
        editor.until_state("idle")
        editor.command("enew")
        editor.command("Tenken file")
        editor.command("Tenken branch")
        editor.until_lines(2)
        assert editor.told() == ["Tenken: this buffer is not a file."]


def test_no_repository(start: Open, tmp_path: Path, engine: Served) -> None:
    """A file outside git is no fault, and gives the server no folder to look through."""
    (tmp_path / "alone.py").write_text(TEXT, "utf-8")
    with start(tmp_path / "alone.py", with_engine(engine.url)) as editor:
        editor.until_state("excluded")
        assert editor.lua("return require('tenken.server').clients()[1].workspace_folders == nil")
        assert editor.lua("return require('tenken').statusline()") == "Tenken -"


def test_switched_off(start: Open, changed: Path) -> None:
    """Who enables the server by hand gets none before."""
    with start(changed, "vim.g.tenken_enable = false") as editor:
        assert editor.lua("return vim.lsp.is_enabled('tenken')") is False
        editor.lua("vim.lsp.enable('tenken')")
        editor.until("return #require('tenken.server').clients() == 1")


def test_what_is_typed(start: Open, app: Path, engine: Served) -> None:
    """Subcommands and reasons are completed; others are refused with those that exist."""
    with start(app, with_engine(engine.url)) as editor:
        assert editor.lua("return vim.fn.getcompletion('Tenken re', 'cmdline')") == ["review"]
        reasons = editor.lua("return vim.fn.getcompletion('Tenken wrong ', 'cmdline')")
        assert sorted(reasons) == sorted(reason.value for reason in WrongReason)
        editor.command("Tenken revise")
        editor.command("Tenken wrong because")
        assert editor.told()[-2].startswith("Tenken: no subcommand revise. There are: apply, branch, ")
        assert editor.told()[-1].startswith("Tenken: no reason because. There are: notTrue, ")


def test_both_languages_say_everything(start: Open, app: Path) -> None:
    """English and Japanese have the same texts with the same blanks, and words for each state."""
    with start(app, "vim.g.tenken_enable = false") as editor:
        texts = editor.lua("return require('tenken.texts').languages")
    english, japanese = texts["en"], texts["ja"]
    assert set(english["states"]) == {state.value for state in State}
    for one, other in ((english, japanese), *((english[k], japanese[k]) for k in ("states", "health"))):
        assert set(one) == set(other)
        for key, text in one.items():
            if isinstance(text, str):
                assert re.findall("%.", text) == re.findall("%.", other[key]), key


def test_the_help_file_knows_everything(program: str, tmp_path: Path) -> None:
    """Each subcommand and setting has its tag, no tag is there twice, and every link leads somewhere."""
    source = (PLUGIN / "lua" / "tenken" / "commands.lua").read_text("utf-8")
    table = source[source.index("local SUBCOMMANDS") : source.index("--- Run what was typed")]
    for name in re.findall(r"^  (\w+) = ", table, re.M):
        assert f"*:Tenken-{name}*" in HELP, name
    for field in LspSettings.model_fields.values():
        assert f"\n{field.alias} " in HELP, field.alias
    shutil.copytree(PLUGIN / "doc", tmp_path / "doc")
    run_once(program, f"helptags {tmp_path / 'doc'} | qa!").check_returncode()
    tags = set(re.findall(r"\*(\S+)\*", HELP))
    assert {link for link in re.findall(r"\|(\S+)\|", HELP) if "enken" in link} <= tags
    made = (tmp_path / "doc" / "tags").read_text("utf-8")
    assert made == (PLUGIN / "doc" / "tags").read_text("utf-8"), "helptags made another file: commit that one"


def test_every_command_of_the_server_can_be_typed() -> None:
    """Nothing the server does is out of reach."""
    source = (PLUGIN / "lua" / "tenken" / "commands.lua").read_text("utf-8")
    assert {name for name in COMMANDS if f"'{name}'" not in source} == set()
