"""Secrets and people are gone from records, and every line is where it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from history_records import HUNK, TIME, lines, quiet, remark, written
from hypothesis import given
from hypothesis import strategies as st

from engine.parsing import parse_fragment
from training.history.personal import Redactor, mentions_redacted
from training.history.records import Person, SourceFile
from training.history.redact import redact
from training.history.settings import RedactSettings
from training.history.stages import MANIFEST, RECORDS, Broken, read_records

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nq2x0\n-----END RSA PRIVATE KEY-----"
SECRETS = {
    "GitLab": "token: glpat-" + "Ab3_" * 6,
    "AWS": "key AKIA" + "ABCDEFGH12345678",
    "GitHub": "ghp_" + "a1B2" * 9,
    "in an address": "postgres://shop:hunter22xyz@db/x",
    "private key": KEY,
    "named literal": 'db_password = "k7!fPq92zL"',
    "named in JSON": '"client_secret": "s9Fj2kLm4Qp8"',
    "random literal": '"Zx81kQ0vB7mN3pL5tR9wY2cE6"',
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkw.dozjgNryP4J3jVmNHl0w5",
}
INNOCENT = (
    'password = "${DB_PASSWORD}"',
    'token = "your-token-here"',
    'api_key = get("API_KEY")',
    'SECRET_NAME = "database.password"',
    '"d41d8cd98f00b204e9800998ecf8427e"',
    '"abcdefghijklmnopqrstuvwxyz"',
    "version 10.0.0.1 of 127.0.0.1",
    "see rfc7540#section-8.1.2.5",
    '"defaultUseHttp2PingOnNoActiveStreams"',
    "call 2026-03-01 or 1234567890123",
    "def total(rows): return 0",
)
PEOPLE = {
    "mail": ("ask mia.example@shop.co.jp today", "ask [mail] today"),
    "telephone": ("call +81 3-1234-5678 or 03-1234-5678", "call [phone] or [phone]"),
    "address": ("from 93.184.216.34, 203.0.113.9", "from [ip], 203.0.113.9"),
    "card": ("card 4111 1111 1111 1111", "card 4111 1111 1111 1111"),
    "another card": ("card 4012 8888 8888 1881", "card [card]"),
    "name": ("as Mia Example said", "as [person] said"),
    "Japanese name": ("山田太郎さんの実装", "[person]さんの実装"),
    "home": ("/home/mia/shop/x.py", "/home/user/shop/x.py"),
    "signature": ("Signed-off-by: Mia X <mia@shop.jp>", "Signed-off-by: [person] <[mail]>"),
    "author tag": (" * @author Mia X", " * @author [person]"),
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_is_replaced(text: str) -> None:
    """Nothing of it is left, and as many lines as before are."""
    found = Redactor()(text)
    assert "[secret]" in found.text
    assert found.text.count("\n") == text.count("\n")
    assert sum(found.counts.values()) == 1
    for part in re.findall(r"[\w/+!-]{10,}", text.replace("PRIVATE KEY", "")):
        assert part not in found.text or part in ("db_password", "client_secret")


@pytest.mark.parametrize("text", INNOCENT)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    """Placeholders, digests, words and numbers of a program."""
    assert Redactor()(text).text == text


@pytest.mark.parametrize(("text", "clean"), PEOPLE.values(), ids=PEOPLE.keys())
def test_people_are_replaced(text: str, clean: str) -> None:
    """Only full names that are known are names; a card number must be one by its digits and its variety."""
    assert Redactor(["Mia Example", "山田太郎", "Will"])(text).text == clean


def test_people_stay_where_that_is_the_setting() -> None:
    """Secrets go all the same."""
    found = Redactor(personal=False)("mia@shop.jp glpat-" + "Ab3_" * 6)
    assert found.text == "mia@shop.jp [secret]"


def test_mentions_are_names_in_prose_alone() -> None:
    """Tags of doc comments, decorators in code spans and addresses are none."""
    text = "@dan see `@cached` and @param; mail a@b"
    assert mentions_redacted(text).text == "@[person] see `@cached` and @param; mail a@b"


@given(st.text(max_size=300))
def test_lines_are_never_lost(text: str) -> None:
    """Whatever is replaced, and a second time nothing more is."""
    once = Redactor(["Mia Example"])(text).text
    assert once.count("\n") == text.count("\n")
    assert Redactor(["Mia Example"])(once).text == once


@given(
    st.lists(st.sampled_from([*SECRETS.values(), *INNOCENT, "", "x = 1"]), min_size=1, max_size=8), st.data()
)
def test_hunks_keep_their_rows(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    """A secret inside a hunk changes no row's sign and no row's number."""
    rows = [row for text in texts for row in text.split("\n")]
    signs = data.draw(st.lists(st.sampled_from("+ -"), min_size=len(rows), max_size=len(rows)))
    old, new = sum(sign != "+" for sign in signs), sum(sign != "-" for sign in signs)
    head = f"@@ -{min(old, 1)},{old} +{min(new, 1)},{new} @@"
    hunk = "\n".join([head, *(sign + row for sign, row in zip(signs, rows, strict=True))])
    folder = tmp_path_factory.mktemp("redact")
    redact(written(folder / "in.jsonl", [quiet(hunk=hunk)]), folder / "out", RedactSettings(), "salt")
    (clean,) = read_records(folder / "out" / RECORDS, Broken())
    before, after = (
        parse_fragment(text, old_path="a", new_path="a").hunks[0].lines
        for text in (hunk, clean.hunk)  # type: ignore[union-attr]
    )
    assert [(line.kind, line.old_number, line.new_number) for line in before] == [
        (line.kind, line.old_number, line.new_number) for line in after
    ]


def test_records_name_nobody(tmp_path: Path) -> None:
    """A person has one pseudonym in a collection, and another in the next; what was replaced is listed."""
    dan = Person(username="dan", name="Dan Example", role=30)
    first = remark(
        "Dan Example, use glpat-" + "Ab3_" * 6,
        replies=[{"author": dan, "body": "@mia mail dan@shop.jp", "created": TIME}],
    )
    code = SourceFile(
        id="source-a", author=dan, created=TIME, path="a.py", language="python",
        text="# @author Dan Example\nx = 1\n",
    )  # fmt: skip
    source = written(tmp_path / "in.jsonl", [first, code, remark("Use a tuple here.", id="note-2")])
    manifest = redact(source, tmp_path / "out", RedactSettings(), "salt")
    text = (tmp_path / "out" / RECORDS).read_text()
    for name in ("mia", "Mia", "dan", "Dan", "glpat"):
        assert name not in text
    one, two, three = read_records(tmp_path / "out" / RECORDS, Broken())
    assert one.author == three.author
    assert one.author.role == 40
    assert two.author != one.author
    listed = lines(tmp_path / "out" / "replaced.jsonl")
    assert [(row["id"], row["fields"]) for row in listed] == [
        (
            "note-1",
            {"body": {"secret: gitlab": 1, "name": 1}, "replies": {"mail address": 1, "mention": 1}},
        ),
        ("source-a", {"text": {"signature": 1}}),
    ]
    assert manifest.counts["replaced"] == {
        "mail address": 1, "mention": 1, "name": 1, "secret: gitlab": 1, "signature": 1,
    }  # fmt: skip
    redact(source, tmp_path / "other", RedactSettings(), "pepper")
    other = next(read_records(tmp_path / "other" / RECORDS, Broken()))
    assert other.author.username != one.author.username


def test_broken_lines_are_set_aside_and_told(tmp_path: Path) -> None:
    """The rest goes on."""
    source = written(tmp_path / "in.jsonl", [remark(), "{", '{"kind": "remark"}', remark(id="note-2")])
    manifest = redact(source, tmp_path / "out", RedactSettings(), "salt")
    assert manifest.counts["broken_lines"] == 2
    told = manifest.counts["broken"]
    assert isinstance(told, list)
    assert f"{source}, line 2" in str(told[0])
    assert [record.id for record in read_records(tmp_path / "out" / RECORDS, Broken())] == [
        "note-1",
        "note-2",
    ]


def test_a_stage_that_is_done_is_not_repeated(tmp_path: Path) -> None:
    """Unless its input, its settings or its output have changed."""
    source = written(tmp_path / "in.jsonl", [remark()])
    out = tmp_path / "out"

    def run(settings: RedactSettings = RedactSettings()) -> int:  # noqa: B008 - frozen
        redact(source, out, settings, "salt")
        return (out / MANIFEST).stat().st_ino

    first = run()
    assert run() == first
    changed = run(RedactSettings(entropy=5.0))
    assert changed != first
    assert run() != changed
    written(source, [remark(), quiet()])
    last = run()
    assert len(lines(out / RECORDS)) == 2
    (out / RECORDS).write_text("damaged")
    assert run() != last
    assert len(lines(out / RECORDS)) == 2
    assert HUNK.split("\n")[1] in (out / RECORDS).read_text()
