import copy
from dataclasses import replace

import pytest
import torch
from methods.loop import LOSS, fit, make_batches, make_network
from torch.nn import functional as F

from avsr_bench.methods import Distilled, build
from avsr_bench.methods.distill import DistilledSettings
from avsr_bench.nn import AVSR, LossSettings
from avsr_bench.records import Misused, Refused


def distilled(teacher: AVSR, **settings: float) -> Distilled:
    return Distilled(DistilledSettings(**settings), teacher)


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"weight": -1}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(Misused):
        build({"name": "distilled"} | settings, "models/distilled.yaml", teacher=make_network())


def test_without_a_teacher_or_with_a_foreign_one_it_is_refused() -> None:
    with pytest.raises(Misused, match="needs a trained teacher"):
        build({"name": "distilled"}, "models/distilled.yaml")
    other = AVSR("video", make_network().settings, tokens=13)
    with pytest.raises(Refused, match=r"knows 13 tokens, the student .* knows 12 tokens"):
        distilled(other).attach(make_network(), 10)
    ours = make_network()
    larger = AVSR("video", replace(ours.settings, mouth=ours.settings.mouth + 8), tokens=ours.tokens)
    with pytest.raises(Refused, match=f"at {ours.settings.mouth + 8} pixels.*at {ours.settings.mouth} pixels"):
        distilled(larger).attach(ours, 10)


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn_from_it() -> None:
    network = make_network(dropout=0.0, ctc_dropout=0.0, encoder_blocks=0).eval()  # batch norms of both alike
    method = distilled(copy.deepcopy(network))
    method.attach(network, 10)
    batch = make_batches(1)[0]
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    losses, added = method.loss(network, batch, LOSS)
    assert added["distillation"].item() == pytest.approx(0, abs=1e-5)
    assert torch.equal(losses.total, network.loss(batch, LOSS).total)


def test_the_divergence_is_summed_over_what_counts_and_averaged_over_clips() -> None:
    network, teacher = make_network(dropout=0.0, ctc_dropout=0.0), make_network(seed=2)
    method = distilled(teacher, weight=0.5, temperature=3.0)
    method.attach(network, 10)
    batch = make_batches(1)[0]
    _, added = method.loss(network.train(), batch, LOSS)
    with torch.no_grad():
        network.loss(batch, LOSS)
        teacher.loss(batch, LOSS)
    ours, theirs, expected = method.ours.take(), method.theirs.take(), 0.0
    for clip in range(3):
        tokens = int((batch.tokens[clip] >= 0).sum()) + 1
        for head, count, share in (("ctc", int(batch.lengths[clip]), 0.3), ("attention", tokens, 0.7)):
            for place in range(count):
                p, q = (F.softmax(of[head][clip, place] / 3, dim=-1) for of in (theirs, ours))
                expected += share * 9 * float((p * (p / q).log()).sum()) / 3
    assert added["distillation"].item() == pytest.approx(0.5 * expected, rel=1e-4)


def test_where_the_decoder_is_not_trained_ctc_is_taught_alone() -> None:
    network, method = make_network(), distilled(make_network(seed=2))
    method.attach(network, 10)
    _, added = method.loss(network, make_batches(1)[0], LossSettings(ctc=1))
    added["distillation"].backward()
    assert network.ctc.weight.grad is not None
    assert network.decoder.output.weight.grad is None


def test_training_brings_the_student_nearer_and_leaves_the_teacher_as_it_was() -> None:
    teacher, student = make_network(seed=2), make_network(feed_forward=12)
    before = {name: of.clone() for name, of in teacher.state_dict().items()}
    run = fit(student, distilled(teacher, weight=10.0), 25, batches=make_batches(1))
    course = [losses["distillation"] for losses in run.lightning_module.losses]
    assert course[-1] < 0.5 * course[0]
    assert all(torch.equal(before[name], of) for name, of in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
