from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import small_network, small_tokenizer

from avsr_bench import data, runs, scoring
from avsr_bench.decoding import DecodeSettings
from avsr_bench.evaluation import open_reader, read, score_batch
from avsr_bench.evaluation.reading import batches, read_clips, view_of

CTC = DecodeSettings(kind="ctc")


@pytest.fixture(scope="module")
def examples(corpus):
    return list(data.examples(corpus, data.places(corpus, "test", "av"), "av"))


@pytest.fixture(params=["video", "audio", "av"])
def reader(request, run_of):
    return open_reader(runs.open_run(run_of(request.param)), torch.device("cpu"))


def test_what_is_read_does_not_depend_on_the_batch(reader, examples):
    clips = [view_of(example, reader.view) for example in examples]
    together = read_clips(reader, clips)
    alone = [read_clips(reader, [clip])[0] for clip in clips]
    assert [(each.text, each.tokens) for each in together] == [(each.text, each.tokens) for each in alone]
    assert [each.score for each in together] == pytest.approx([each.score for each in alone], rel=1e-4)
    assert len({each.text for each in together}) > 5  # it does depend on the clip
    for one, other, clip in zip(together, alone, clips, strict=True):
        assert len(one.memory) == clip.frames
        assert torch.allclose(one.memory, other.memory, atol=1e-4)


def test_networks_that_let_padding_in_read_one_by_one(examples):
    network = small_network(mask_padding=False)
    tokenizer = small_tokenizer()
    whole = read(network, tokenizer, examples, CTC)
    assert whole == tuple(read(network, tokenizer, [example], CTC)[0] for example in examples)


def test_reading_in_the_middle_of_training(examples):
    network = small_network().train()
    network.decoder.eval()  # a part that is frozen stays so
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    heard = read(network, small_tokenizer(), examples[:4], CTC)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [each.key for each in heard] == [example.key for example in examples[:4]]
    assert [each.reference for each in heard] == [example.text for example in examples[:4]]
    words = scoring.total(map(scoring.score, heard))["wer"]
    assert words.length == sum(len(example.text.split()) for example in examples[:4])


def test_validation_counts_what_the_test_counts(reader, examples):
    """References as the corpus has them: capitals, punctuation, and letters that the tokenizer lacks."""
    odd = [replace(each, text=f"{each.text.upper()}, Zoë's — “x”!") for each in examples]
    batch = data.collate([view_of(example, reader.view) for example in odd])
    with torch.no_grad():
        memory, lengths = reader.network.encode(batch.inputs, batch.lengths)
    keys, texts = [each.key for each in odd], [each.text for each in odd]
    found = score_batch(reader, memory, lengths, keys, texts)
    tested = [scoring.score(each) for each in read(reader.network, reader.tokenizer, odd, reader.settings)]
    assert found == [replace(each, speaker="", source="") for each in tested]
    rounded = score_batch(reader, memory.bfloat16(), lengths, keys, texts)  # as training under bf16 encodes it
    assert [each.key for each in rounded] == keys


def test_reading_nothing():
    assert read(small_network(), small_tokenizer(), [], CTC) == ()


@pytest.mark.parametrize("kind", ["beam", "attention"])
def test_other_ways_to_decode(kind, examples, run_of):
    reader = open_reader(runs.open_run(run_of()), torch.device("cpu"), kind, 3 if kind == "beam" else None)
    heard = read(reader.network, reader.tokenizer, examples[:3], reader.settings)
    assert all(each.score is not None and each.score < 0 for each in heard)


@given(st.lists(st.integers(1, 50)), st.integers(1, 120))
def test_batches_hold_everything_once_and_no_more_than_they_may(lengths, together):
    found = list(batches(list(enumerate(lengths)), lambda item: item[1], together))
    assert sorted(item for batch in found for item in batch) == list(enumerate(lengths))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(length for _, length in batch) <= together
    firsts = [batch[0][1] for batch in found]
    assert firsts == sorted(firsts, reverse=True)
