"""The training loop, in the order in which it happens.

An update: batches, forward and backward of each, the method's turn, clipping, the step, the method's and the
objective's turn, the step of discriminators where there are any, then average, validation, the line, the checkpoint,
and the end where a signal asked for it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..methods import Method
from ..objectives import Batches, Objective, Recognise
from ..records import Progress, Refused
from ..text import Tokenizer
from .adversary import Adversary
from .average import Average
from .checkpoint import CHECKPOINT, random_state, set_random_state, write_checkpoint
from .clips import TrainingData
from .cycles import Cycles
from .machine import agreed, everyones, in_precision, rank
from .optimiser import clip, gradient_norms, make_optimizer, rate, set_rates
from .recipe import TrainSettings
from .report import Report
from .signals import Signals, Stopped
from .validate import validate


@dataclass(frozen=True, slots=True)
class Work:
    """What is trained: decided before the loop begins."""

    folder: Path
    settings: TrainSettings
    steps: int
    objective: Objective
    method: Method
    clips: TrainingData
    tokenizer: Tokenizer | None  # none where nothing is read
    state: Mapping[str, Any] = field(default_factory=dict)  # of the checkpoint that is resumed from


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it."""

    weights: Mapping[str, Tensor]  # the mean of the snapshots, settled by the method
    frames: int  # valid ones, of all ranks
    teacher_frames: int
    seconds: float


class Learner(nn.Module):
    """The one module that DDP wraps: the objective, and what the method trains beside it."""

    def __init__(self, objective: Objective, method: Method) -> None:
        super().__init__()
        self.objective, self.method = objective, method
        self.beside = nn.ParameterList(method.trained())
        frozen = [name for name in self.state_dict() if objective.is_frozen(name.removeprefix("objective."))]
        # Under this name DDP looks for what it neither averages nor broadcasts.
        self._ddp_params_and_buffers_to_ignore = frozen

    def forward(self, batches: Batches) -> dict[str, Tensor]:
        """The losses of the objective, with the method's penalty in their total."""
        losses, added = self.objective(batches), self.method.penalty()
        return {**losses, **added, "total": losses["total"] + sum(added.values(), losses["total"].new_zeros(()))}


def fit(work: Work, fabric: Fabric, view: Progress) -> Trained:
    """Train from the checkpoint, or from the beginning, to the last update."""
    settings, steps, objective, method = work.settings, work.steps, work.objective, work.method
    fabric.launch()
    own, ranks, device = fabric.global_rank, fabric.world_size, fabric.device
    if ranks > 1 and device.type == "cuda":
        objective.network = nn.SyncBatchNorm.convert_sync_batchnorm(objective.network)
    if settings.compile:
        # Its kernel cannot be traced: said here, the network before it stays in one piece. Said by a decorator of our
        # function, the compiler would be imported, 1.3 s, wherever a network is used.
        torch._dynamo.disallow_in_graph(torch.nn.functional.ctc_loss)
        assert isinstance(objective, Recognise)  # of those that compile; the plan has seen to it
        objective.losses = torch.compile(objective.losses, dynamic=True)  # type: ignore[method-assign]
    objective.train()
    model = fabric.setup_module(Learner(objective, method))
    optimizer = make_optimizer([*objective.groups(), *method.groups()], settings)
    adversary = Adversary(objective, settings, fabric)
    average = Average(steps, settings.average, settings.average_fraction)
    cycles = Cycles(
        work.clips.stream, steps * settings.accumulate, settings.accumulate, ranks, work.folder if own == 0 else None
    )
    report = Report(work.folder, view if rank() == 0 else None, device, objective.metrics[0])
    frames = torch.zeros(2, dtype=torch.long, device=device)  # of this rank: trained on, and through frozen networks
    done = 0
    if work.state:
        done = work.state["update"]
        optimizer.load_state_dict(work.state["optimizer"])
        adversary.load_state_dict(work.state.get("adversary", {}))
        average.load_state_dict(work.state["average"], device)
        report.load_state_dict(work.state["report"])
        mine = work.state["ranks"][own]
        cycles.load_state_dict(done * settings.accumulate, work.state.get("cycles", {}), mine.get("cycles", {}))
        frames += torch.tensor(work.state["ranks"][own]["frames"], device=device)
    every = settings.validate_every or max(steps // 10, 1)
    report.begin(done, steps, ranks, settings.log)
    saved = time.monotonic()

    left = (steps - done) * settings.accumulate
    feeding = work.clips.feed(own, cycles.next, cycles.done, left, settings.workers, cycles.begin)
    with Signals() as signals, feeding as feed:
        if work.state:
            set_random_state(work.state["ranks"][own]["random"])
        for update in range(done, steps):
            if method.before_update(update, optimizer):
                model = fabric.setup_module(Learner(objective, method))
            fraction = rate(update, steps, settings.warmup)
            set_rates(optimizer, fraction)

            losses: list[dict[str, Tensor]] = []
            for turn in range(settings.accumulate):
                last = turn + 1 == settings.accumulate
                batches = {name: tuple(each.to(device) for each in views) for name, views in next(feed).items()}
                with fabric.no_backward_sync(model, enabled=not last):
                    with in_precision(device, settings.precision == "bf16"):
                        found = model(batches)
                    check_finite(found, batches, update)
                    fabric.backward(found["total"] / settings.accumulate)
                found |= adversary.backward(last)
                counted = objective.frames(batches)
                frames += torch.stack(counted)
                cycles.add(batches, found["clips"])
                losses.append({name: loss.detach() for name, loss in found.items()} | {"frames": counted[0]})

            method.before_step(update + 1, optimizer)
            norms = gradient_norms(objective.network)
            clip(optimizer)
            optimizer.step()
            method.after_step(optimizer)
            objective.after_update((update + 1) / steps)
            optimizer.zero_grad()
            adversary.step(fraction)

            average.add(update + 1, objective.network)
            if (update + 1) % every == 0 or update + 1 == steps:
                looked_at = work.clips.validation(own, ranks)
                report.validated = validate(objective, looked_at, work.tokenizer, fabric, settings.precision == "bf16")
            report.update(update + 1, cycles.next, losses, optimizer.param_groups[0]["lr"], norms, method.figures())
            for line in [*method.remarks(), *objective.remarks(cycles.next.epoch)] if own == 0 else ():
                view.say(line)

            due = time.monotonic() - saved >= 60 * settings.save_minutes
            due, stop = agreed(fabric, due, signals.received is not None)
            if due or stop:
                saved = time.monotonic()
                # Batches have other shapes on each rank, and so other numbers are drawn there.
                mine = {"random": random_state(), "frames": frames.tolist(), "cycles": cycles.own_state()}
                each = everyones(mine, ranks)
                if own == 0:
                    problem = write_checkpoint(
                        work.folder / CHECKPOINT,
                        {
                            "update": update + 1,
                            "objective": objective.kept(),
                            "method": method.state_dict(),
                            "optimizer": optimizer.state_dict(),
                            "adversary": adversary.state_dict(),
                            "average": average.state_dict(),
                            "report": report.state_dict(),
                            "cycles": cycles.state_dict(),
                            "ranks": each,
                        },
                    )
                    if problem:
                        view.say(problem)
                fabric.barrier()
            if stop:
                raise Stopped(signals.received or signal.SIGTERM)
        remark = cycles.finish()
        if remark and own == 0:
            view.say(remark)

    total = fabric.all_reduce(frames, reduce_op="sum")
    assert isinstance(total, Tensor)
    trained_on, through_frozen = total.tolist()
    return Trained(method.settled(average.weights()), trained_on, through_frozen, report.seconds)


def check_finite(losses: Mapping[str, Tensor], batches: Batches, update: int) -> None:
    """End the run at a loss that is not finite, with the clips that it came from."""
    if torch.isfinite(losses["total"]):
        return
    keys = [key for views in batches.values() for batch in views for key in batch.keys]
    worst = [key for key, loss in zip(keys, losses["clips"], strict=True) if not torch.isfinite(loss)]
    raise Refused(
        f"the loss is {losses['total'].item()} after {update:,} updates, with the clips {', '.join(worst or keys)}:"
        " look at them with `avsr-bench inspect`, or start again, in another --out, with a lower train.lr or train.clip"
    )
