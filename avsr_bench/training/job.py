"""Training, from a request to the folders of runs: plan, clips, network, loop, weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from lightning_fabric import seed_everything

from .. import data, methods, nn, objectives, runs
from ..data import UNPRUNED, Chosen, Kind, Prepared
from ..evaluation import lineage, ran_out_of_memory, weights_digest
from ..methods import Method
from ..nn import Network, Recogniser
from ..objectives import Objective
from ..records import Ancestor, Budget, Progress, Refused
from ..runs import About
from ..text import Tokenizer, load_tokenizer, make_tokenizer
from .average import moments
from .checkpoint import CHECKPOINT, read_checkpoint
from .clips import TrainingData, check_streams, open_training_data, write_left_out
from .folder import hold_run, resumable
from .loop import Trained, Work, fit
from .machine import keep_memory, lost_another, make_fabric, rank
from .plan import PlannedRun, TrainRequest, make_plan
from .recipe import TrainSettings

Say = Callable[[str], None]
ALPHABET = "abcdefghijklmnopqrstuvwxyz 0123456789"  # of a tokenizer where there is no text to make one of


def train(request: TrainRequest, view: Progress) -> tuple[Path, ...]:
    """Train a system, and first what it needs; the folders of the runs that came of it, the last one last."""
    plan = make_plan(request)
    for run in plan.runs:
        train_run(run, plan.corpus, view)
    return plan.asked


def train_run(run: PlannedRun, corpus: Prepared, view: Progress) -> None:
    """One run, new or resumed. Rank 0 keeps other trainers out of its folder."""
    main, folder, settings = rank() == 0, run.folder, run.recipe.train
    say: Say = view.say if main else lambda line: None
    for line in run.title.splitlines():
        say(line)
    with hold_run(folder, main) as claim:
        before = resumable(run, say) if main else None
        resumed = before is not None or (not main and run.resume and (folder / CHECKPOINT).is_file())
        if run.resume and (folder / runs.WEIGHTS).is_file():
            return
        state = read_checkpoint(folder / CHECKPOINT) if resumed else {}
        if state:
            say(f"resuming {folder} after {state['update']:,} updates")
        chosen = data.choose(corpus, run.about.inputs, run.recipe.data)
        if before is not None and before.about.labels != chosen.fingerprint:
            raise Refused(f"{folder} was begun with other labels: resume it with those, or choose another --out")
        check_streams(run, chosen)
        if chosen.note:
            say(chosen.note)
        tokenizer = tokenizer_of(run, chosen, resumed, say) if run.recipe.entry.leaves != "enhancer" else None
        fabric = make_fabric(settings)
        clips = open_training_data(run, corpus, chosen, tokenizer)
        steps = updates_of(settings, clips)
        objective, method = learner_of(run, tokenizer, steps, state, fabric.device, say)
        hours = {kind: round(clips.chosen.hours(kind), 3) for kind in get_args(Kind)}
        about = replace(run.about, hours=round(sum(hours.values()), 3), labels=clips.chosen.fingerprint)
        if main and not resumed:
            claim()
            runs.write_recipe(folder, about, run.recipe.sections())  # first: the folder is a run from here on
            if tokenizer is not None:
                tokenizer.save(folder)
            write_left_out(folder, clips.left_out)
        if clips.left_out:
            say(f"{len(clips.left_out):,} clips are left out, with the reasons in {folder}/left_out.jsonl")
        parameters = sum(parameter.numel() for parameter in objective.network.parameters())
        tokens = "" if tokenizer is None else f" {len(tokenizer)} tokens,"
        say(f"{parameters:,} parameters,{tokens} {about.hours:.2f} h of clips, {steps:,} updates")
        say(f"run: {folder}")
        with ending_in_one_line(run):
            trained = fit(Work(folder, settings, steps, objective, method, clips, tokenizer, state), fabric, view)
        if main:
            budget = Budget(
                frames=trained.frames,
                ancestors=ancestors_of(run, clips.chosen.labellers),
                teacher_frames=trained.teacher_frames,
                updates=steps,
                seconds=round(trained.seconds, 1),
                labelled_hours=hours["labelled"],
                automatic_hours=hours["automatic"],
                unlabelled_hours=hours["unlabelled"],
            )
            if run.followed:  # before the weights: with these the round is finished
                runs.write_weights(folder, method.settled(objective.network.state_dict()), runs.LAST)
            finish(run, replace(about, budget=budget), trained, objective.network)
            say(f"weights: {folder / runs.WEIGHTS}")
        with ending_in_one_line(run):
            fabric.barrier()  # the next run may begin with these weights


@contextmanager
def ending_in_one_line(run: PlannedRun) -> Iterator[None]:
    """Say what to do where memory runs out, or another process of the run is gone."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if ran_out_of_memory(error):
            raise Refused(
                f"{run.folder}: memory ran out: start again, in another --out, with smaller batches (data.frames, now"
                f" {run.recipe.data.frames:,}), more of them an update (train.accumulate), or a smaller --size"
            ) from None
        if lost_another(error):
            raise Refused(
                f"{run.folder}: another process of this run ended, or did not answer for train.wait_minutes="
                f"{run.recipe.train.wait_minutes:g}: start the same command again on every machine, with --resume"
            ) from None
        raise


def tokenizer_of(run: PlannedRun, chosen: Chosen, resumed: bool, say: Say) -> Tokenizer:
    """That of the run that is resumed or begun with, else one made as the recipe says."""
    begun_with = run.initial if run.recipe.init.part == "all" else None
    folder = run.folder if resumed else begun_with
    if folder is not None and folder.is_dir():
        tokenizer = load_tokenizer(folder)
    else:
        texts, settings = [clip.text for clip in chosen.clips if clip.text], run.recipe.text
        if not texts and run.recipe.entry.leaves != "recogniser":
            # The network's heads have the form of a recogniser's all the same, and its probes have nothing to learn.
            texts, settings = [ALPHABET], replace(settings, kind="characters")
        tokenizer, notes = make_tokenizer(texts, settings)
        for note in notes:
            say(note)
    for helper in run.helpers.values():
        if runs.open_run(helper).tokenizer().units != tokenizer.units:
            raise Refused(
                f"{helper} writes other tokens than this run: train both with the same text settings, on the same texts"
                " (data.labels, data.hide)"
            )
    return tokenizer


def updates_of(settings: TrainSettings, clips: TrainingData) -> int:
    """How many updates a run has."""
    if settings.steps is not None:
        return settings.steps
    planner, selection = clips.stream.planner, clips.stream.selection
    full = min(settings.epochs, selection.warm + planner.short_epochs) if selection.selects else settings.epochs
    whole = int(full)
    batches = planner.batches(whole)
    if full > whole:
        batches += round((full - whole) * len(planner.plan(whole)[0]))
    if chosen := settings.epochs - full:  # passes that have less than everything
        unpruned = UNPRUNED * settings.epochs if selection.strategy == "infobatch" else 0.0
        passes = min(unpruned, chosen) + max(chosen - unpruned, 0.0) * selection.kept
        batches += round(passes * len(planner.plan(whole)[0]))
    return max(batches // settings.accumulate, 1)


def learner_of(
    run: PlannedRun, tokenizer: Tokenizer | None, steps: int, state: Mapping[str, Any], device: torch.device, say: Say
) -> tuple[Objective, Method]:
    """The objective with its network, and the method attached to it: as they begin, or as a checkpoint has them."""
    recipe, about = run.recipe, run.about
    helpers = {name: helper_of(path, about) for name, path in run.helpers.items()}
    # Only now: a run that was trained first has drawn numbers and set threads of its own.
    torch.set_num_threads(recipe.train.threads or len(os.sched_getaffinity(0)))
    if device.type == "cpu":
        keep_memory()
    seed_everything(about.seed, verbose=False)
    given = bool(state) or (run.initial is not None and recipe.init.part == "all")
    make = nn.make if given else nn.draw  # what is given need not be drawn: its factors take a minute at large
    network = make(about.modality, recipe.network, 0 if tokenizer is None else len(tokenizer))
    if run.initial is not None and not state:
        take_weights(network, run.initial, recipe.init.part, say, runs.LAST if run.follows else runs.WEIGHTS)
    objective = objectives.build(recipe.objective, run.about.system, network, recipe.loss, helpers).to(device)
    method = methods.build(recipe.method, run.about.system, about.seed or 0)
    if state:
        objective.restore(state["objective"])
        method.load_state_dict(state["method"])
    method.attach(network, steps, min(moments(steps, recipe.train.average, recipe.train.average_fraction)))
    return objective, method


def helper_of(folder: Path, about: About) -> Recogniser:
    """The network of a trained run; a unified one as what it is to this run, whose clips it is shown."""
    helper = runs.open_run(folder)
    if helper.about.modality == "unified" and about.modality != "unified":
        helper = helper.seen_as(about.modality)
    return helper.load()


def take_weights(network: Network, initial: Path, part: Any, say: Say, file: str = runs.WEIGHTS) -> None:
    """Load the weights that a run begins with: a file, or one of the files of a run."""
    if file == runs.LAST and not (initial / file).is_file():
        raise Refused(f"{initial} has no {file}, which the next round begins with: delete the folder to train it again")
    report = nn.load(network, nn.read(initial if initial.is_file() else initial / file), part)
    if part == "all" and report.release == "ours" and report.unused:
        raise Refused(
            f"{initial} has {len(report.unused):,} weights without a place in this network, {report.unused[0]} first:"
            " give the network settings of that run, network.layer_scale and network.low_rank among them"
        )
    which = f"the last weights of {initial}" if file == runs.LAST else f"{part} of {initial}"
    thin = f", {len(report.factored)} of its layers as two factors" if report.factored else ""
    say(f"begins with {which}: {report.parameters:,} parameters{thin}")


def ancestors_of(run: PlannedRun, labellers: Iterable[Ancestor]) -> tuple[Ancestor, ...]:
    """The runs that this one is made of, and those whose labels it learns, each once, with what was spent on it."""
    found: dict[str, Ancestor] = {}
    for place in filter(None, (run.initial, *run.helpers.values())):
        if place.is_file():  # weights of others
            found[place.name] = Ancestor(place.name)
            continue
        before = runs.open_run(place)
        found |= {ancestor.run: ancestor for ancestor in lineage(before, weights_digest(before))}
    return tuple((found | {ancestor.run: ancestor for ancestor in labellers}).values())


def finish(run: PlannedRun, about: About, trained: Trained, network: Network) -> None:
    """Write the weights and what they are; there is nothing left to resume."""
    weights = trained.weights
    prunable = nn.prunable(nn.make(about.modality, run.recipe.network, network.tokens))
    zeros = sum(int((weights[name] == 0).sum()) for name in prunable)
    fraction = zeros / sum(parameter.numel() for parameter in prunable.values())
    parameters = sum(weights[name].numel() for name, _ in network.named_parameters() if name in weights)
    about = replace(about, sparsity=round(fraction, 6), parameters=parameters, nonzero=parameters - zeros)
    runs.write_recipe(run.folder, about, run.recipe.sections())
    runs.write_weights(run.folder, weights)
    (run.folder / CHECKPOINT).unlink(missing_ok=True)
