import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from methods.loop import LOSS, fit, logged, make_batches, make_network
from torch.nn import functional as F

from avsr_bench import objectives
from avsr_bench.methods import Method
from avsr_bench.nn import AVSR, LossSettings
from avsr_bench.objectives import Distil, Recognise
from avsr_bench.objectives.distil import DistilSettings
from avsr_bench.records import Misused, Refused


def distil(network: AVSR, teacher: AVSR, loss: LossSettings = LOSS, **settings: float) -> Distil:
    return Distil(network, loss, DistilSettings(**settings), teacher)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"name": "distil", "temperature": 0},
            "models/x.yaml: objective: temperature = 0: it should be a number",
        ),
        ({"name": "distil", "weight": -1}, "weight = -1"),
        ({"name": "distill"}, r"unknown objective.name 'distill'. Did you mean distil\?"),
        ({"name": "recognise", "weight": 1}, "unknown setting weight"),
        ({"name": "distil", "teacher": {"runs": "dense"}}, r"unknown setting teacher.runs. Did you mean teacher.run\?"),
    ],
)
def test_settings_that_mean_nothing_are_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(Misused, match=message):
        objectives.settings_of(section, "models/x.yaml")


def test_without_a_teacher_or_with_one_of_another_task_it_is_refused() -> None:
    with pytest.raises(Misused, match=r"distil needs a trained network for objective\.teacher"):
        objectives.build({"name": "distil"}, "models/distilled.yaml", make_network(), LOSS, {})
    other = AVSR("video", make_network().settings, tokens=13)
    with pytest.raises(Refused, match=r"knows 13 tokens, the student .* knows 12 tokens"):
        distil(make_network(), other)
    ours = make_network()
    larger = AVSR("video", replace(ours.settings, mouth=ours.settings.mouth + 8), tokens=ours.tokens)
    with pytest.raises(Refused, match=f"at {ours.settings.mouth + 8} pixels.*at {ours.settings.mouth} pixels"):
        distil(ours, larger)


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn_from_it() -> None:
    network = make_network(dropout=0.0, ctc_dropout=0.0, encoder_blocks=0)
    objective = distil(network, copy.deepcopy(network)).train()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()  # batch norms of both alike
    batch = make_batches(1)[0]
    losses = objective({"labelled": (batch,)})
    assert losses["distillation"].item() == pytest.approx(0, abs=1e-5)
    assert torch.equal(losses["loss"], network.loss(batch, LOSS).total)


def test_the_divergence_is_summed_over_what_counts_and_averaged_over_clips() -> None:
    network, teacher = make_network(dropout=0.0, ctc_dropout=0.0), make_network(seed=2)
    objective, batch = distil(network, teacher, weight=0.5, temperature=3.0).train(), make_batches(1)[0]
    losses = objective({"labelled": (batch,)})
    ours, theirs = (objective.answers(of, batch) for of in (network, teacher))
    expected = 0.0
    for clip in range(3):
        tokens = int((batch.tokens[clip] >= 0).sum()) + 1
        for head, count, weight in (("ctc", int(batch.lengths[clip]), 0.3), ("attention", tokens, 0.7)):
            for place in range(count):
                p, q = (F.softmax(getattr(of, head)[clip, place] / 3, dim=-1) for of in (theirs, ours))
                expected += weight * 9 * float((p * (p / q).log()).sum()) / 3
    assert losses["distillation"].item() == pytest.approx(0.5 * expected, rel=1e-4)
    assert losses["total"].item() == pytest.approx(losses["loss"].item() + losses["distillation"].item())


def test_where_the_decoder_is_not_trained_ctc_is_taught_alone() -> None:
    network = make_network()
    objective = distil(network, make_network(seed=2), LossSettings(ctc=1))
    objective({"labelled": (make_batches(1)[0],)})["distillation"].backward()
    assert network.ctc.weight.grad is not None
    assert network.decoder.output.weight.grad is None
    assert not any(parameter.requires_grad for parameter in network.decoder.parameters())


def test_training_brings_the_student_nearer_and_leaves_the_teacher_as_it_was(tmp_path: Path) -> None:
    teacher, student = make_network(seed=2), make_network(feed_forward=12)
    before = {name: of.clone() for name, of in teacher.state_dict().items()}
    objective = distil(student, teacher, weight=10.0)
    trained = fit(student, Method(), 25, folder=tmp_path, batches=make_batches(1), objective=objective)
    course = [float(row["distillation"]) for row in logged(tmp_path)]
    assert course[-1] < 0.5 * course[0]
    assert all(torch.equal(before[name], of) for name, of in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert trained.frames == trained.teacher_frames == 25 * 22


def test_frozen_parts_are_in_no_checkpoint_and_no_group() -> None:
    objective = distil(make_network(), make_network(seed=2))
    assert all(name.startswith("network.") for name in objective.kept())
    (group,) = objective.groups()
    assert not {id(of) for of in group.parameters} & {id(of) for of in objective.teacher.parameters()}
    with pytest.raises(ValueError, match="state without"):
        objective.restore({})


def test_a_clip_counts_the_same_whichever_stream_it_comes_from() -> None:
    network = make_network(dropout=0.0, ctc_dropout=0.0).eval()
    objective, batch = Recognise(network, LOSS), make_batches(1)[0]
    part = replace(batch, lengths=batch.lengths[:1], tokens=batch.tokens[:1], video=batch.video[:1], keys=("a",))
    with torch.no_grad():
        whole = objective({"labelled": (batch,)})
        both = objective({"labelled": (batch,), "more": (part,)})
    assert both["clips"].tolist() == pytest.approx([*whole["clips"].tolist(), whole["clips"][0].item()])
    assert both["total"].item() == pytest.approx(both["clips"].mean().item())
    assert [int(of) for of in objective.frames({"labelled": (batch,), "more": (part,)})] == [22 + 9, 0]


@pytest.mark.parametrize("kind", ["recognise", "distil"])
def test_clips_count_by_their_weights(kind: str) -> None:
    """A clip of weight 0 has no gradient, and one of weight 3 that of three: as InfoBatch counts those left out."""
    network = make_network().eval()
    objective = Recognise(network, LOSS) if kind == "recognise" else distil(network, make_network(2).eval())
    (batch,) = make_batches(1)
    alone = []
    for clip in range(3):
        weights = torch.zeros(3)
        weights[clip] = 3.0
        alone.append(float(objective.losses(replace(batch, weights=weights))["total"].detach()))
    plain = objective.losses(batch)
    assert sum(alone) / 3 == pytest.approx(float(plain["total"].detach()), rel=1e-5)
    if kind == "recognise":
        assert alone == pytest.approx(plain["clips"].tolist(), rel=1e-5)
