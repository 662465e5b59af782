"""Tokenizers are made from real transcripts by SentencePiece itself."""

import io
import json
import pickle
import random

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.records import Misused, Refused
from avsr_bench.text import (
    BLANK,
    Tokenizer,
    TokenizerSettings,
    check_coverage,
    import_tokenizer,
    learn_tokenizer,
    load_tokenizer,
    plain,
    tokenizer_of,
)

WORDS = "the of and to in is you that it he was for on are as with his they at be this have from or one had by not but"
LETTERS = "abcdefghijklmnopqrstuvwxyz'"


def sentences(count, seed=0):
    draw = random.Random(seed)
    made = ["".join(draw.choices(LETTERS, k=draw.randint(1, 8))) for _ in range(200)]
    return [" ".join(draw.choices([*WORDS.split(), *made], k=draw.randint(3, 9))) for _ in range(count)]


@pytest.fixture(scope="module")
def unigram():
    tokenizer, notes = learn_tokenizer(sentences(600), TokenizerSettings(units=200))
    assert notes == ()
    return tokenizer


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Like the published one: upper case, with the control symbols that SentencePiece has unless told otherwise, and a
    list of units among which are some that the model never makes."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line.upper() for line in sentences(600)]),
        model_writer=model,
        vocab_size=150,
        model_type="unigram",
        minloglevel=3,
    )
    folder = tmp_path_factory.mktemp("published")
    (folder / "unigram150.model").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    units = sorted(["<unk>", "2019", "▁7", *(processor.id_to_piece(piece) for piece in range(3, 150))])
    (folder / "units.txt").write_text("".join(f"{unit} {n}\n" for n, unit in enumerate(units, 1)), encoding="utf-8")
    return folder


def test_numbers_run_from_blank_over_the_units_to_eos(unigram):
    assert len(unigram) == 202  # 200 with <unk>, between blank and eos
    assert unigram.units[0] == "<blank>" and unigram.units[1] == "<unk>" and unigram.units[-1] == "<eos>"
    assert (BLANK, unigram.unknown, unigram.eos) == (0, 1, 201)
    assert unigram.case == "lower" and unigram.alphabet == set(LETTERS)


@settings(deadline=None)
@given(st.lists(st.text(alphabet=LETTERS + LETTERS.upper() + "É ’,-", max_size=12), max_size=6).map(" ".join))
def test_what_it_can_spell_comes_back(unigram, text):
    tokens = unigram.encode(text)
    assert unigram.decode(tokens) == unigram.spell(text) == plain(text.replace("É", "E"))
    assert all(1 < token < unigram.eos for token in tokens)
    assert unigram.encode(unigram.decode(tokens)) == tokens


@settings(deadline=None)
@given(st.text())
def test_any_text_has_tokens_and_they_are_in_range(unigram, text):
    tokens = unigram.encode(text)
    assert all(BLANK < token < unigram.eos for token in tokens)
    assert [token for _, token in unigram.pieces(text)] == tokens
    assert (unigram.unknown in tokens) == any(c not in " " and c not in unigram.alphabet for c in unigram.spell(text))


@settings(deadline=None)
@given(st.lists(st.integers(0, 201)))
def test_any_tokens_have_text(unigram, tokens):
    text = unigram.decode(tokens)
    assert text == " ".join(text.split())
    assert unigram.decode([0, *tokens, 201]) == text


def test_training_does_not_depend_on_the_order_or_the_case_of_the_texts(unigram):
    lines = [line.upper() + "." for line in sentences(600)]
    random.Random(1).shuffle(lines)
    assert learn_tokenizer(lines, TokenizerSettings(units=200))[0] == unigram


def test_long_transcripts_are_not_left_out():
    long = "x" + " ab" * 3000 + " q"
    tokenizer, _ = learn_tokenizer(["ab ab", long], TokenizerSettings(kind="characters"))
    assert tokenizer.alphabet == set("abxq")


def test_few_texts_with_a_closed_vocabulary_are_cut_into_words():
    texts = ["bin blue now", "set red now", "bin red please", "set blue please"] * 4
    tokenizer, notes = learn_tokenizer(texts, TokenizerSettings(units=1000))
    assert len(tokenizer) == 6 + 3
    assert len(tokenizer.encode("Set RED, please!")) == 3
    assert tokenizer.decode(tokenizer.encode("set red please")) == "set red please"
    assert len(notes) == 1
    assert "too little text for 1000 unigram units" in notes[0] and "each of its 6 words is a token" in notes[0]


def test_few_texts_with_rare_words_are_cut_into_characters():
    tokenizer, notes = learn_tokenizer(["hello there world", "a word said once"], TokenizerSettings(units=1000))
    assert "".join(sorted(tokenizer.alphabet)) == "acdehilnorstw"
    assert tokenizer.decode(tokenizer.encode("the world")) == "the world"
    assert "each of its 13 characters is a token" in notes[0]


def test_kinds_that_were_asked_for_need_no_note():
    for kind in ("words", "characters"):
        assert learn_tokenizer(["one two", "two"], TokenizerSettings(kind=kind))[1] == ()


@pytest.mark.parametrize("texts", [[], [""], ["...", "— !"]])
def test_no_text(texts):
    with pytest.raises(Refused, match="not one transcript"):
        learn_tokenizer(texts, TokenizerSettings())


def test_fewer_units_than_characters():
    with pytest.raises(Misused, match="units=10 is too few for a corpus of 27 different characters: give at least 29"):
        learn_tokenizer(sentences(600), TokenizerSettings(units=10))
    assert len(learn_tokenizer(sentences(600), TokenizerSettings(units=29))[0]) == 31


def test_a_given_model_with_its_list_of_units(published):
    tokenizer = import_tokenizer(published / "unigram150.model", published / "units.txt")
    assert len(tokenizer) == 150 + 2  # the two that the model never makes are kept
    assert tokenizer.case == "upper"
    listed = (published / "units.txt").read_text(encoding="utf-8").splitlines()
    processor = sentencepiece.SentencePieceProcessor(model_file=str(published / "unigram150.model"))
    pieces = processor.encode("YOU WERE NOT THERE", out_type=str)
    assert [f"{piece} {token}" for piece, token in tokenizer.pieces("you were not there")] == [
        line for piece in pieces for line in listed if line.split()[0] == piece
    ]
    assert tokenizer.decode(tokenizer.encode("You were, not there")) == "YOU WERE NOT THERE"
    assert [token for _, token in tokenizer.pieces("2019")][-1] == tokenizer.unknown  # never the unit of that name


def test_a_given_model_without_a_list(published):
    tokenizer = import_tokenizer(published / "unigram150.model")
    assert len(tokenizer) == 148 + 2  # its 150 pieces less <s> and </s>
    assert tokenizer.decode(tokenizer.encode("have it")) == "HAVE IT"


def test_a_list_without_numbers_is_as_good(published, tmp_path):
    lines = (published / "units.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "units.txt").write_text("\n".join(line.split()[0] for line in lines), encoding="utf-8")
    model = published / "unigram150.model"
    assert import_tokenizer(model, tmp_path / "units.txt") == import_tokenizer(model, published / "units.txt")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<unk> 1\nA 3\n", r"line 2: 'A 3' is not a unit, alone or with its number 2"),
        (b"<unk> 1\n\nA 2\n", "line 2: ''"),
        (b"<unk> 1 x\n", "line 1: '<unk> 1 x'"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"<unk> 1\nA 2\nA 3\n", "the unit 'A' stands 2 times"),
        (b"A 1\nB 2\n", "have no <unk>"),
        (b"<unk> 1\nzzz 2\n", "do the two belong together"),
        (b"", "have no <unk>"),
    ],
)
def test_a_bad_list_of_units(published, tmp_path, content, says):
    (tmp_path / "units.txt").write_bytes(content)
    with pytest.raises(Refused, match=says):
        import_tokenizer(published / "unigram150.model", tmp_path / "units.txt")


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x00" * 100])
def test_what_is_no_model(tmp_path, content):
    (tmp_path / "a.model").write_bytes(content)
    with pytest.raises(Refused, match=r"a\.model: "):
        import_tokenizer(tmp_path / "a.model")


def test_a_missing_model(tmp_path):
    with pytest.raises(Refused, match=r"cannot read .*a\.model: No such file"):
        import_tokenizer(tmp_path / "a.model")


def test_a_model_that_spells_in_bytes():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences(300)), model_writer=model, vocab_size=420, byte_fallback=True, minloglevel=3
    )
    with pytest.raises(Refused, match="in bytes"):
        tokenizer_of(model.getvalue())


def test_units_without_ends(unigram):
    with pytest.raises(Refused, match="from <blank> to <eos>"):
        Tokenizer(unigram.model, unigram.units[1:])


def test_saved_and_loaded(published, unigram, tmp_path):
    imported = import_tokenizer(published / "unigram150.model", published / "units.txt")
    for tokenizer in (unigram, imported):
        tokenizer.save(tmp_path)
        assert load_tokenizer(tmp_path) == tokenizer
        assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.json", "tokenizer.model"]
        sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))  # others read it too


def test_a_saved_tokenizer_that_is_damaged_or_of_another_rule(unigram, tmp_path):
    unigram.save(tmp_path)
    saved = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    for content, says in [
        ("", "is damaged"),
        ("[]", "is damaged"),
        ('{"units": []}', "is damaged"),
        (json.dumps({**saved, "text_version": 0}), "made with text rule 0, and this is text rule 1"),
    ]:
        (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
        with pytest.raises(Refused, match=says):
            load_tokenizer(tmp_path)


def test_a_tokenizer_travels_between_processes(unigram):
    unigram.encode("have it")
    sent = pickle.loads(pickle.dumps(unigram))
    assert sent == unigram and sent.encode("have it") == unigram.encode("have it")


def test_a_corpus_that_the_tokenizer_spells(published):
    tokenizer = import_tokenizer(published / "unigram150.model", published / "units.txt")
    assert check_coverage(tokenizer, ["You aren't there.", "café!", ""], "corpus x") == 0
    assert check_coverage(tokenizer, [], "corpus x") == 0
    share = check_coverage(tokenizer, ["a" * 199 + " 7"], "corpus x")
    assert share == pytest.approx(1 / 200)


def test_a_corpus_that_it_does_not_spell(published):
    tokenizer = import_tokenizer(published / "unigram150.model", published / "units.txt")
    with pytest.raises(Refused) as refused:
        check_coverage(tokenizer, ["that was in 2019", "was it 19"], "corpus x")
    assert str(refused.value) == (
        "30.0% of corpus x would become <unk> (at most 1%): the tokenizer lacks '1' (2), '9' (2), '2' (1), '0' (1); "
        "spell them out in the transcripts, or use a tokenizer made from this corpus"
    )


def test_words_that_a_tokenizer_of_words_lacks():
    tokenizer, _ = learn_tokenizer(["one two", "two"], TokenizerSettings(kind="words"))
    with pytest.raises(Refused, match=r"lacks 'owe' \(2\), 'not' \(1\)"):
        check_coverage(tokenizer, ["one owe", "owe two", "not"], "corpus x")


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_model_is_refused_or_works(unigram, data):
    model = bytearray(unigram.model)
    for _ in range(data.draw(st.integers(1, 3))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    try:
        tokenizer = tokenizer_of(bytes(model[: data.draw(st.integers(len(model) // 2, len(model)))]))
    except Refused as refused:
        assert "\n" not in str(refused)
        return
    tokenizer.decode(tokenizer.encode("bin blue at f two now"))
