"""What a note says to the bot: awkward cases by name, then properties over generated notes."""

from __future__ import annotations

import pytest
from effort import computing_seconds
from hypothesis import given
from hypothesis import strategies as st

from bot.commands import GITLAB_QUICK_ACTIONS, MAX_COMMANDS, Command, Grammar, Parsed, Unknown, parse_note
from bot.note_text import MAX_CHARACTERS, Hidden

NAMES = ("review", "ask", "explain", "help", "retrain", "dismiss")
GRAMMAR = Grammar(NAMES, multiline=("ask",))
BOT = "tenken"


def parse(text: str) -> Parsed:
    return parse_note(text, GRAMMAR, BOT)


def said(text: str) -> list[tuple[str, str]]:
    return [(command.name, command.text) for command in parse(text).commands]


HEARD = {
    "alone": ("/review", [("review", "")]),
    "with arguments": ("/review src/ --full", [("review", "src/ --full")]),
    "after text": ("Please\n/review\nthanks", [("review", "")]),
    "after carriage returns": ("Please\r\n/review src\r\nthanks", [("review", "src")]),
    "upper case": ("/REVIEW", [("review", "")]),
    "tab behind the name": ("/review\tsrc", [("review", "src")]),
    "full-width space behind the name": ("/review　src", [("review", "src")]),
    "trailing space": ("/review   ", [("review", "")]),
    "two commands": ("/review\n/retrain", [("review", ""), ("retrain", "")]),
    "the same twice": ("/review a\n/review  a", [("review", "a")]),
    "the same with other arguments": ("/review a\n/review b", [("review", "a"), ("review", "b")]),
    "mention": ("@tenken review src", [("review", "src")]),
    "mention with colon": ("@tenken: review", [("review", "")]),
    "mention with slash": ("@tenken /review", [("review", "")]),
    "mention in other case": ("@Tenken Review", [("review", "")]),
    "below a quote it answers": ("> what do you think?\n/review", [("review", "")]),
    "below a quote, after a blank line": ("> /retrain\n\n/review", [("review", "")]),
    "below a list": ("- one\n- two\n/review", [("review", "")]),
    "below a closed fence": ("```\n/retrain\n```\n/review", [("review", "")]),
    "below code on lines of its own": ("`\n/retrain\n`\n/review", [("review", "")]),
    "inline code behind it": ("/ask what is `x`?", [("ask", "what is `x`?")]),
    "question over several lines": ("/ask why\nis this\n\nslow?", [("ask", "why\nis this\n\nslow?")]),
    "question up to the next command": ("/ask why\nslow?\n/review", [("ask", "why\nslow?"), ("review", "")]),
    "question that shows code": ("/ask why\n```\n/review\n```", [("ask", "why\n```\n/review\n```")]),
    "below closed HTML": ("<details>\n\n/retrain\n\n</details>\n\n/review", [("review", "")]),
    "below a closed quote block": (">>>\n/retrain\n>>>\n\n/review", [("review", "")]),
    "unclosed quote block": (">>>\n\n/review", [("review", "")]),
    "heading by accident": ("/review\n---", [("review", "")]),
    "tag that is not closed": ("<br>\n\n/review", [("review", "")]),
}

NOT_HEARD = {
    "empty": "",
    "no command": "looks good to me",
    "middle of a line": "please /review",
    "indented": " /review",
    "indented code": "    /review",
    "quoted": "> /review",
    "quoted twice": ">> /review",
    "quoted in a list": "- > /review",
    "list item": "- /review",
    "fence": "```\n/review\n```",
    "fence of tildes": "~~~\n/review\n~~~",
    "fence with a language": "```sh\n/review\n```",
    "longer fence holding a shorter one": "````\n```\n/review\n```\n````",
    "fence that is never closed": "```\n/review",
    "fence in a quote block": ">>>\n```\n/review\n```\n>>>",
    "inline code": "`/review`",
    "inline code over lines": "`\n/review\n`",
    "inline code within text": "the ``\n/review\n`` command",
    "quote block": ">>>\n/review\n>>>",
    "quote block with blank lines": ">>>\n\n/review\n\n>>>",
    "HTML block": "<div>\n/review\n</div>",
    "HTML block with blank lines": "<details>\n\n/review\n\n</details>",
    "HTML block with attributes": '<details open class="x">\n\n/review\n\n</details>',
    "HTML comment": "<!--\n/review\n-->",
    "HTML comment within text": "see <!--\n/review\n--> this",
    "text of an image": "![see\n/review\n](x.png)",
    "longer name": "/reviewer",
    "hyphenated name": "/review-all",
    "path": "/review/src/app.py",
    "name with a colon": "/review:",
    "doubled slash": "//review",
    "space behind the slash": "/ review",
    "vertical tab for a new line": "text\x0b/review",
    "line separator for a new line": "text\u2028/review",
    "another's mention": "@tenken2 review",
    "mention in the middle of a line": "ask @tenken review",
    "mention in code": "`@tenken review`",
    "mention in a fence": "```\n@tenken review\n```",
    "e-mail address": "tenken@example.com review",
}


@pytest.mark.parametrize(("text", "expected"), HEARD.values(), ids=HEARD)
def test_what_is_said_is_heard(text: str, expected: list[tuple[str, str]]) -> None:
    """A command that its author says is found, with its text."""
    assert said(text) == expected


@pytest.mark.parametrize("text", NOT_HEARD.values(), ids=NOT_HEARD)
def test_what_is_only_shown_is_not_heard(text: str) -> None:
    """Code, quotes, HTML, other words and other places call nothing."""
    assert said(text) == []


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("```\n/review\n```", Hidden.CODE),
        ("`\n/review\n`", Hidden.CODE),
        (">>>\n/review\n>>>", Hidden.QUOTE),
        ("<div>\n/review\n</div>", Hidden.HTML),
        ("![see\n/review\n](x.png)", Hidden.UNSEEN),
    ],
)
def test_it_is_known_why_a_command_was_not_heard(text: str, hidden: Hidden) -> None:
    """Whoever asks why nothing happened is told."""
    assert [(one.name, one.hidden) for one in parse(text).unheard] == [("review", hidden)]


@pytest.mark.parametrize(
    ("text", "name", "guess"),
    [
        ("/reveiw", "reveiw", "review"),
        ("/retrian --dry-run", "retrian", "retrain"),
        ("/hlep", "hlep", "help"),
        ("／review", "review", "review"),
        ("／ｒｅｖｉｅｗ", "ｒｅｖｉｅｗ", "review"),
        ("@tenken reviwe", "reviwe", "review"),
        ("@tenken what is this?", "what", None),
        ("@tenken", "", None),
    ],
)
def test_close_names_are_guessed(text: str, name: str, guess: str | None) -> None:
    """A slip of the hand, or a full-width slash, leads to a hint and runs nothing."""
    assert parse(text) == Parsed(unknown=(Unknown(name, guess),))


@pytest.mark.parametrize("text", ["/etc", "/task", "/usr/bin", "/approve", "/reviewer @x", "/x", "/レビュー"])
def test_other_words_call_for_no_hint(text: str) -> None:
    """Paths and GitLab's own quick actions are none of the bot's business."""
    assert parse(text) == Parsed()


def test_without_a_name_mentions_call_nothing() -> None:
    """A bot that does not know its name cannot be called by it."""
    assert parse_note("@tenken review", GRAMMAR) == Parsed()
    assert parse_note("/review", GRAMMAR).commands == (Command(name="review"),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", ("a", "b")),
        ("'a b' c", ("a b", "c")),
        ("what's this", ("what's", "this")),
        ("—full src", ("--full", "src")),
        ("src　--lang=ja", ("src", "--lang=ja")),
        ("ソース/注文.py", ("ソース/注文.py",)),
        ("", ()),
    ],
)
def test_arguments_are_words(text: str, words: tuple[str, ...]) -> None:
    """Quotes hold words together, an apostrophe does no harm, and a dash that a keyboard made is mended."""
    assert Command(name="review", text=text).arguments == words


def test_key_survives_spacing_alone() -> None:
    """An edit that changes blanks runs nothing anew; one that changes words does."""
    key = Command(name="review", text="a  b").key
    assert key == Command(name="review", text="a b").key
    assert key != Command(name="review", text="a c").key
    assert key != Command(name="ask", text="a b").key


def test_commands_of_a_note_are_limited() -> None:
    """A note of a thousand commands runs a few."""
    assert len(parse("\n".join(f"/review {n}" for n in range(1000))).commands) == MAX_COMMANDS


@pytest.mark.parametrize(
    "unit", ["`", "[", ">", "`a", "**a *b ", "<", "<a ", "- ", "![a](", "a <![CDATA[", "<a>\n", ">>>\n", "> "]
)
def test_parsing_takes_bounded_time(unit: str) -> None:
    """However a note is made, reading it takes a moment."""
    text = f"/review\n{unit * (1_000_000 // len(unit))}"
    assert computing_seconds(lambda: parse(text)) < 5


def test_far_lines_of_a_huge_note_are_not_read() -> None:
    """What comes after the first 32,768 characters calls nothing."""
    assert said("x" * MAX_CHARACTERS + "\n/review") == []


def test_names_do_not_collide_with_gitlabs() -> None:
    """GitLab would keep a command of such a name to itself."""
    assert not GITLAB_QUICK_ACTIONS & set(NAMES)


pieces = st.sampled_from(
    [
        *(
            "```",
            "~~~",
            "`",
            ">>>",
            "> ",
            "<div>",
            "</div>",
            "<!--",
            "-->",
            "/review",
            "/ask",
            "@tenken review",
        ),
        *(
            " ",
            "    ",
            "- ",
            "\t",
            "\r",
            "\n",
            "\n",
            "\n\n",
            "/",
            "[a](",
            "](",
            "\ue000",
            "\x00",
            "注文",
            "😀",
            "x",
        ),
    ]
)
notes = st.lists(pieces, max_size=40).map("".join)


@given(st.one_of(notes, st.text(max_size=300)))
def test_any_text_is_read(text: str) -> None:
    """Nothing somebody writes breaks the parser, and what it finds is a known command at a line's start."""
    starts = tuple(line.lower() for line in text.replace("\r", "").split("\n"))
    for command in parse(text).commands:
        assert command.name in NAMES
        calls = (f"/{command.name}", f"@{BOT}")
        assert any(line.startswith(calls) for line in starts)


@given(notes)
def test_in_a_fence_nothing_is_said(text: str) -> None:
    """Whatever stands in a fence that it cannot close calls nothing."""
    assert parse(f"~~~~~~~~\n{text}\n~~~~~~~~").commands == ()


@given(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=50))
def test_a_command_on_the_first_line_is_always_heard(rest: str) -> None:
    """Nothing behind it on its line, and nothing in the paragraph below, can take it back."""
    assert [c.name for c in parse(f"/review {rest}\n\nbelow").commands] == ["review"]
