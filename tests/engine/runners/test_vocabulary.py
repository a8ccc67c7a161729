"""The tokenizer in this process says exactly what llama.cpp says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import RunnerError
from engine.gguf_files import read_gguf
from engine.models import BaseModel
from engine.runners.llama_server import LlamaServer, ServerOptions
from engine.runners.vocabulary import Tokenize, sentencepiece_model, tokenizer_of

gguf = pytest.importorskip("gguf")
sentencepiece = pytest.importorskip("sentencepiece")

KINDS = {"<b>": 4, "  ": 4, "\n": 4, "<end>": 3, "<unk>": 2}
WORDS = {**KINDS, "▁": 1, "a": 1, "b": 1, "▁a": 1, "ab": 1, **{f"<0x{byte:02X}>": 6 for byte in range(256)}}
WORDS_IN_ORDER = list(WORDS)
FIELDS: dict[str, Any] = {
    "general.architecture": "gemma3",
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.add_space_prefix": False,
    "tokenizer.ggml.tokens": WORDS_IN_ORDER,
    "tokenizer.ggml.scores": [-float(place) for place in range(len(WORDS))],
    "tokenizer.ggml.token_type": list(WORDS.values()),
}
ODD = [
    *(
        " ",
        "  ",
        "   ",
        "\t",
        "\t\t",
        "\n",
        "\n\n",
        "\r\n",
        "\0",
        "\x07",
        "▁",
        "▁▁",
        "\u3000",
        "\xa0",
        "\u200b",
    ),
    *(
        "a",
        " the",
        "self.",
        "()",
        "  1+",
        "   -",
        " =>",
        "....",
        "0",
        "12345",
        "__init__",
        "\ufeff",
        "\u2028",
    ),
    *(
        "日本語",
        "点検",
        "ｱｲｳ",
        "０１",
        "한국어",
        "٣",
        "ﷺ",
        "é",
        "e\u0301",
        "𝔹",
        "😀",
        "👨‍👩‍👧",
        "\U0010ffff",
        "\ue000",
    ),
    *("<start_of_turn>", "<end_of_turn>", "<unk>", "<bos>", "<unused7>", "[multimodal]", "<b>", "</h1>", "<"),
    *("<0x41>", "<s>", "\x01unknown"),
]
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(ODD), st.tuples(st.sampled_from(ODD), st.integers(2, 70)).map(lambda x: x[0] * x[1])
    ),
    min_size=1,
    max_size=12,
).map("".join) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def server(gemma: BaseModel) -> Iterator[LlamaServer]:
    """llama.cpp with the real model, as the judge."""
    made = LlamaServer(ServerOptions(gemma.path, (), threads=1, context=256, slots=1))
    yield made
    made.close()


def _never(text: str) -> list[int]:
    raise RunnerError(f"asked about {text!r}")


def _ours(gemma: BaseModel, server: LlamaServer, cache: Path) -> Tokenize:
    """The tokenizer, which asks llama.cpp about the probe and about `▁` alone."""
    return tokenizer_of(gemma, cache, lambda text: server.tokenize(text) if _may_ask(text) else _never(text))


def _may_ask(text: str) -> bool:
    return "▁" in text or text.startswith("<start_of_turn>user\n  1+\t")


@pytest.mark.model
def test_tokens_are_llama_cpps(
    gemma: BaseModel, server: LlamaServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Token by token: code, Japanese, emoji, tabs, long runs of line ends, control tokens, any text."""
    ours = _ours(gemma, server, tmp_path_factory.mktemp("cache"))

    @settings(max_examples=1500, database=None)
    @given(TEXTS)
    def check(text: str) -> None:
        assert ours(text) == server.tokenize(text)

    check()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        text = file.read_text("utf-8")
        assert ours(text) == server.tokenize(text), file


@pytest.mark.model
def test_every_token_is_read_back(gemma: BaseModel, server: LlamaServer, tmp_path: Path) -> None:
    """Control tokens side by side are what llama.cpp takes them for."""
    fields = read_gguf(gemma.path).fields
    pairs = zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"], strict=True)
    control = [token for token, kind in pairs if kind in (2, 3, 4) and not token.startswith("<unused")]
    ours = _ours(gemma, server, tmp_path)
    for first, second in zip(control, reversed(control), strict=True):
        assert ours(f"{first}x{second}{first}") == server.tokenize(f"{first}x{second}{first}")


@pytest.mark.model
def test_a_text_that_is_none_is_refused(gemma: BaseModel, server: LlamaServer, tmp_path: Path) -> None:
    """Half a surrogate pair has no tokens, and the error is the runner's."""
    with pytest.raises(RunnerError):
        tokenizer_of(gemma, tmp_path, server.tokenize)("a\ud800b")


def test_a_vocabulary_is_told_piece_by_piece() -> None:
    """Pairs join by score, user-defined tokens go first, what is no token falls to bytes."""
    made = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model(FIELDS))
    read = [WORDS_IN_ORDER[token] for token in made.encode("  aab<b> a\né<unk><end>")]
    assert read == ["  ", "a", "ab", "<b>", "▁a", "\n", "<0xC3>", "<0xA9>", "<unk>", "<end>"]


@pytest.mark.parametrize(
    "fields",
    [
        {"general.architecture": "qwen2"},
        {"tokenizer.ggml.model": "gpt2"},
        {"tokenizer.ggml.add_space_prefix": True},
        {"tokenizer.ggml.token_type": [5] * len(WORDS)},
    ],
    ids=str,
)
def test_other_kinds_are_left_to_llama_cpp(fields: dict[str, object]) -> None:
    """A vocabulary whose tokens might differ is not told at all."""
    assert sentencepiece_model(FIELDS | fields) == b""


def write_gguf(path: Path, architecture: str, tokens: int) -> BaseModel:
    """Write a GGUF file that has nothing but the first of FIELDS' tokens."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_tokenizer_model("llama")
    writer.add_add_space_prefix(False)
    writer.add_token_list(WORDS_IN_ORDER[:tokens])
    writer.add_token_scores(FIELDS["tokenizer.ggml.scores"][:tokens])
    writer.add_token_types(list(WORDS.values())[:tokens])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return BaseModel(path.stem, path, None)


@pytest.mark.parametrize(
    ("architecture", "tokens"),
    [("qwen2", len(WORDS)), ("gemma3", 20), ("gemma3", len(WORDS))],
    ids=["another kind", "bytes are missing", "another answer"],
)
def test_in_doubt_llama_cpp_is_asked(tmp_path: Path, architecture: str, tokens: int) -> None:
    """A vocabulary that is not known, not whole, or does not say what llama.cpp says is not used."""

    def reference(text: str) -> list[int]:
        return [7]

    model = write_gguf(tmp_path / "own.gguf", architecture, tokens)
    assert tokenizer_of(model, tmp_path, reference) is reference


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """Tokens come from llama.cpp then, as before."""
    model = write_gguf(tmp_path / "own.gguf", "gemma3", len(WORDS))
    (tmp_path / "cache").write_text("a file")
    assert tokenizer_of(model, tmp_path / "cache", _never) is _never


def test_a_vocabulary_of_ones_own_is_used(tmp_path: Path) -> None:
    """A Gemma whose file nobody vouches for is read once, and again when the file has changed."""
    model = write_gguf(tmp_path / "own.gguf", "gemma3", len(WORDS))
    reference = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model(FIELDS)).encode
    assert tokenizer_of(model, tmp_path, reference)("ab") == [WORDS_IN_ORDER.index("ab")]
    assert len(list((tmp_path / "tokenizers").glob("*.model"))) == 1
    write_gguf(tmp_path / "own.gguf", "qwen2", len(WORDS))
    assert tokenizer_of(model, tmp_path, reference) is reference
