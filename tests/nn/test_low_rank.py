import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench import recipes
from avsr_bench.nn import AVSR, LowRankSettings, NetworkSettings, draw, load, parameters_of, prunable, read
from avsr_bench.nn.low_rank import LowRank, factored, factors, layers_of, linear, rank_of, stack
from avsr_bench.records import Misused, Refused

THIN = LowRankSettings(attention=(0.25, 0.25), feed_forward=(0.5, 0.2))
fractions = st.floats(min_value=0.01, max_value=1.0)


@pytest.mark.parametrize(
    ("attention", "feed_forward", "video", "audio", "both"),
    [
        ((1, 1), (1, 1), 250.383, 243.049, 443.977),
        ((0.12, 0.12), (1, 1), 201.94, 194.61, 368.63),
        ((1, 1), (0.5, 0.5), 197.30, 189.97, 348.43),
        ((0.12, 0.12), (0.5, 0.5), 148.86, 141.53, 273.08),
        ((0.12, 0.12), (0.5, 0.17), 119.71, 112.37, 220.61),
    ],
)
def test_the_parameters_of_the_published_network(attention, feed_forward, video, audio, both):
    settings = NetworkSettings(low_rank=LowRankSettings(attention, feed_forward))
    for modality, millions in (("video", video), ("audio", audio), ("av", both)):
        assert parameters_of(modality, settings, 5049) == pytest.approx(millions * 1e6, abs=0.005e6)


def test_the_recipe_is_the_mildest_of_them_that_halves_every_network():
    low = recipes.load(recipes.find("models", "lr-sms"))["network"]["low_rank"]
    assert (low["attention"], low["feed_forward"]) == ([0.12, 0.12], [0.5, 0.17])
    for modality in ("video", "audio", "av"):
        thin = NetworkSettings(low_rank=LowRankSettings((0.12, 0.12), (0.5, 0.17)))
        assert parameters_of(modality, NetworkSettings(), 5049) >= 2 * parameters_of(modality, thin, 5049)
    milder = NetworkSettings(low_rank=LowRankSettings((0.12, 0.12), (0.5, 0.18)))
    assert parameters_of("av", NetworkSettings(), 5049) < 2 * parameters_of("av", milder, 5049)


@given(attention=st.tuples(fractions, fractions), feed_forward=st.tuples(fractions, fractions))
def test_what_is_counted_is_what_is_built(attention, feed_forward):
    low = LowRankSettings(attention, feed_forward)
    settings = NetworkSettings(width=32, heads=4, feed_forward=48, encoder_blocks=3, decoder_blocks=2, low_rank=low)
    with torch.device("meta"):
        network = AVSR("av", settings, 20)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters_of("av", settings, 20)
    assert {f"{name}.{end}.weight" for name in layers_of(network) for end in ("up", "down")} <= set(prunable(network))


@given(inputs=st.integers(1, 200), outputs=st.integers(1, 200), kept=fractions)
def test_a_layer_in_two_factors_is_smaller(inputs, outputs, kept):
    rank = rank_of(inputs, outputs, kept)
    layer = linear(inputs, outputs, kept)
    assert isinstance(layer, LowRank) == (rank is not None)
    weights = sum(weight.numel() for weight in prunable(layer).values()) or layer.weight.numel()
    assert weights <= inputs * outputs
    if rank is not None:
        assert 1 <= rank <= min(inputs, outputs) and weights == rank * (inputs + outputs) < inputs * outputs


@given(blocks=st.integers(1, 30), ends=st.tuples(fractions, fractions))
def test_ranks_go_in_a_line(blocks, ends):
    found = [
        ranks.feed_forward for ranks in stack(NetworkSettings(low_rank=LowRankSettings(feed_forward=ends)), blocks)
    ]
    assert found[0] == pytest.approx(ends[0]) and (blocks == 1 or found[-1] == pytest.approx(ends[1]))
    steps = [after - before for before, after in pairwise(found)]
    assert all(step == pytest.approx((ends[1] - ends[0]) / (blocks - 1), abs=1e-8) for step in steps)
    assert all(0 < kept <= 1 for kept in found)


@pytest.mark.parametrize(("rows", "columns", "rank"), [(12, 30, 5), (30, 12, 1), (9, 9, 9)])
def test_no_weight_of_this_rank_is_nearer(rows, columns, rank):
    torch.manual_seed(0)
    weight = torch.randn(rows, columns)
    up, down = factors(weight, rank)
    left_out = torch.linalg.svdvals(weight)[rank:].norm()  # Eckart and Young
    torch.testing.assert_close((weight - up @ down).norm(), left_out, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(up.norm(), down.norm())


def test_it_begins_with_what_the_dense_network_draws(make_network):
    dense = make_network()
    torch.manual_seed(1)
    thin = draw("video", replace(dense.settings, low_rank=THIN), 12)
    assert all(parameter.requires_grad for parameter in thin.parameters())
    before, names = dense.state_dict(), set(layers_of(thin))
    assert len(names) == 2 * (5 + 4) + 2 * (8 + 2)
    for name, value in thin.state_dict().items():
        assert name.rpartition(".")[0].removesuffix(".up").removesuffix(".down") in names or torch.equal(
            value, before[name]
        )
    for name, layer in layers_of(thin).items():
        up, down = factors(before[f"{name}.weight"], layer.down.out_features)
        torch.testing.assert_close(layer.up.weight @ layer.down.weight, up @ down)
        assert layer.up.bias is None or torch.equal(layer.up.bias, before[f"{name}.bias"])


def test_a_random_start_is_another(make_network):
    torch.manual_seed(1)
    spectral = draw("video", replace(make_network().settings, low_rank=THIN), 12)
    torch.manual_seed(1)
    random = draw("video", replace(make_network().settings, low_rank=replace(THIN, start="random")), 12)
    assert [weight.shape for weight in spectral.parameters()] == [weight.shape for weight in random.parameters()]
    assert not torch.equal(spectral.ctc.weight, random.ctc.weight)


def test_the_control_is_dense_with_the_norms_that_truncation_leaves(make_network):
    dense = make_network()
    torch.manual_seed(1)
    control = draw("video", replace(dense.settings, low_rank=replace(THIN, factored=False)), 12)
    torch.manual_seed(1)
    thin = draw("video", replace(dense.settings, low_rank=THIN), 12)
    layers = layers_of(thin)
    assert not layers_of(control)
    for name, weight in control.state_dict().items():
        layer = layers.get(name.removesuffix(".weight"))
        if layer is None:
            assert torch.equal(weight, dense.state_dict()[name])
            continue
        torch.testing.assert_close(weight.norm(), (layer.up.weight @ layer.down.weight).norm())
        torch.testing.assert_close(weight / weight.norm(), dense.state_dict()[name] / dense.state_dict()[name].norm())


def test_low_ranks_hear_and_read_alike_whole_and_token_by_token(make_network, make_batch):
    network, batch = make_network("av", low_rank=THIN).eval(), make_batch("av")
    memory, lengths = network.encode(batch.inputs, batch.lengths)
    state = network.start(memory, lengths)
    first = torch.full((3, 1), network.sos)
    step, _ = network.step(first, state)
    whole = network.answers(memory, lengths, batch.tokens).attention
    torch.testing.assert_close(step[:, 0], whole[:, 0].log_softmax(-1), atol=1e-5, rtol=1e-5)


def test_dense_weights_are_factored_where_the_network_has_factors(make_network, tmp_path):
    dense = make_network()
    torch.save(dense.state_dict(), tmp_path / "dense.pth")
    thin = make_network(low_rank=THIN)
    report = load(thin, read(tmp_path / "dense.pth"))
    assert len(report.factored) == len(layers_of(thin)) and not report.unused and not report.kept
    assert f"{len(report.factored)} layers factored" in str(report)
    expected = factored(dense.state_dict(), thin)
    assert all(torch.equal(value, expected[name]) for name, value in thin.state_dict().items())
    again = make_network(low_rank=THIN)
    torch.save(thin.state_dict(), tmp_path / "thin.pth")
    assert not load(again, read(tmp_path / "thin.pth")).factored
    assert all(torch.equal(value, thin.state_dict()[name]) for name, value in again.state_dict().items())


def test_an_encoder_alone_is_factored_too(make_network, tmp_path):
    torch.save(make_network().state_dict(), tmp_path / "dense.pth")
    thin = make_network(low_rank=THIN)
    before = thin.decoder.output.weight.clone()
    load(thin, read(tmp_path / "dense.pth"), "encoder")
    assert torch.equal(thin.decoder.output.weight, before)


@pytest.mark.parametrize(
    ("there", "here", "message"),
    [
        (
            THIN,
            replace(THIN, attention=(0.4, 0.4)),
            r"(?s)query\.(up|down)\.weight is .* in the file and .* rank or set",
        ),
        (
            THIN,
            LowRankSettings(),
            r"has no .*weight .*, which the network needs; there it is two factors: give the net",
        ),
    ],
)
def test_other_ranks_are_refused_by_name(make_network, tmp_path, there, here, message):
    torch.save(make_network(low_rank=there).state_dict(), tmp_path / "weights.pth")
    target = make_network(low_rank=here)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(Refused, match=message) as caught:
        load(target, read(tmp_path / "weights.pth"))
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


def test_dense_weights_of_another_width_are_refused(make_network, tmp_path):
    torch.save(make_network(width=32).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(Refused, match=r"project\.weight is \(32, 10\) in the file and \(16, 10\) in the network"):
        load(make_network(low_rank=THIN), read(tmp_path / "weights.pth"))


def test_weights_that_are_no_numbers_are_refused_and_not_factored(make_network, tmp_path):
    dense = make_network().state_dict()
    dense["encoders.video.blocks.0.attention.query.weight"][0, 0] = math.nan
    torch.save(dense, tmp_path / "weights.pth")
    with pytest.raises(Refused, match=r"query\.(weight|up\.weight|down\.weight)"):
        load(make_network(low_rank=THIN), read(tmp_path / "weights.pth"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[0, 0.5]", "greater than 0"),
        ("[0.5, 1.5]", "at most 1|less than or equal to 1"),
        ("[0.5]", "low_rank"),
        ("0.5", "low_rank"),
        ("[.nan, 0.5]", "low_rank"),
    ],
)
@pytest.mark.parametrize("kind", ["attention", "feed_forward"])
def test_fractions_out_of_range_are_refused(kind, value, message):
    content = recipes.override({}, [f"low_rank.{kind}={value}"])
    with pytest.raises(Misused, match=rf"low_rank\.{kind}") as caught:
        recipes.build(NetworkSettings, content, "here")
    assert "\n" not in str(caught.value)
