"""A training run from the command to the weights: what it trains on, how it goes, what it leaves behind."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.plugins.environments import SLURMEnvironment

from .. import data, methods, nn, provenance, recipes, runs
from ..data import Position, Prepared
from ..methods import Method
from ..nn import AVSR, Modality
from ..records import Refused
from ..runs import About
from ..text import Tokenizer, load_tokenizer, make_tokenizer
from .average import Average
from .folder import hold_run, is_resumed, updates_of
from .machine import check_started_outside, devices_for, loggers_for, quiet_lightning, rank
from .material import TRAIN, Material, gather, write_left_out
from .module import Recogniser
from .recipe import TrainRecipe, TrainSettings, load_recipe, needed_by, rounds_of
from .report import Report, View
from .stop import CHECKPOINT, Checkpoints, Signals
from .validate import Validation

FORM = ("network", "text")  # sections in which a run must be like the one it begins with


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What the command line asks for."""

    system: str
    data: str | None = None
    size: str | None = None
    modality: Modality = "video"
    seed: int = 0
    out: Path | None = None
    resume: bool = False
    assignments: tuple[str, ...] = ()
    command: str = ""


def train(request: TrainRequest, view: View) -> tuple[Path, ...]:
    """Train a system; the folders of the runs that came of it, the last one last."""
    corpus = data.find_data(request.data)
    size = request.size or corpus.default_size
    recipe, path = load_recipe(request.system, size, request.assignments)
    about = About(
        system=request.system,
        corpus=corpus.name,
        size=size,
        modality=request.modality,
        seed=request.seed,
        corpus_fingerprint=corpus.fingerprint,
        command=request.command,
        commit=provenance.commit(),
    )
    folder = request.out or runs.default_folder(about)
    nn.check_size(about.modality, recipe.network, recipe.text.units)  # before anything is trained that it begins with
    _check_chain(recipe, about)
    main = rank() == 0
    say = view.say if main else lambda line: None
    say(f"{request.system}: {path}, size {size}, {request.modality}, seed {request.seed}, corpus {corpus.location}")
    if not recipe.rounds.sparsities:
        return (_train_one(request, recipe, about, folder, corpus, view),)
    check_started_outside(recipe.train)
    rounds = rounds_of(recipe, folder)
    for number, (home, this) in enumerate(rounds, start=1):
        say(f"round {number} of {len(rounds)}, sparsity {recipe.rounds.sparsities[number - 1]:.0%}")
        resume = request.resume and (home / runs.RECIPE).is_file()
        _train_one(replace(request, resume=resume), this, about, home, corpus, view)
    return tuple(home for home, _ in rounds)


def _train_one(
    request: TrainRequest, recipe: TrainRecipe, about: About, folder: Path, corpus: Prepared, view: View
) -> Path:
    """One run, new or resumed; its folder. Rank 0 keeps other trainers out of it."""
    with hold_run(folder, rank() == 0) as claim:
        return _train_alone(request, recipe, about, folder, corpus, view, claim)


def _train_alone(
    request: TrainRequest,
    recipe: TrainRecipe,
    about: About,
    folder: Path,
    corpus: Prepared,
    view: View,
    claim: Callable[[], None],
) -> Path:
    main = rank() == 0
    say = view.say if main else lambda line: None
    quiet_lightning()
    settings = recipe.train
    accelerator, devices = devices_for(settings)
    loggers = loggers_for(settings, folder)
    ranks = devices * settings.nodes
    # The epoch plan is made for so many ranks: a run goes on with as many.
    recipe = replace(recipe, train=replace(settings, devices=devices))
    going_on = main and is_resumed(folder, request.resume, recipe, about, say)
    if request.resume and (folder / runs.WEIGHTS).is_file():
        return folder
    going_on = going_on or (not main and request.resume and (folder / CHECKPOINT).is_file())

    start = None if going_on else _start(request, recipe, about, view)
    teacher = _teacher(request, recipe, about, view)
    whole = start if recipe.init.part == "all" else None
    tokenizer, notes = _tokenizer(recipe, corpus, folder if going_on else whole)
    for note in notes:
        say(note)
    if teacher is not None and teacher.tokenizer().units != tokenizer.units:
        raise Refused(f"{teacher.folder} writes other tokens than this run: train both with the same text settings")
    material = gather(corpus, recipe, about.modality, tokenizer, request.seed, ranks)
    about = replace(about, hours=round(material.hours, 3))
    steps = _steps(settings, material)

    taught = None if teacher is None else teacher.load()
    # Only now: a run that was trained first has drawn numbers and set threads of its own.
    torch.set_num_threads(settings.threads or len(os.sched_getaffinity(0)))
    seed_everything(request.seed, verbose=False)
    network = AVSR(about.modality, recipe.network, len(tokenizer))
    if start is not None:
        report = nn.load(network, nn.read(start if start.is_file() else start / runs.WEIGHTS), recipe.init.part)
        if recipe.init.part == "all" and report.release == "ours" and report.unused:
            raise Refused(
                f"{start} has {len(report.unused):,} weights without a place in this network, {report.unused[0]} first:"
                " give the network settings of that run, network.layer_scale and network.encoder_blocks among them"
            )
        say(f"begins with {recipe.init.part} of {start}: {report.parameters:,} parameters")
    method = methods.build(recipe.method, request.system, request.seed, taught)
    method.attach(network, steps)
    if main and not going_on:
        claim()
        runs.write_recipe(folder, about, recipe.sections())  # first: the folder is a run from here on
        tokenizer.save(folder)
        write_left_out(folder, material.left_out)
    if material.left_out:
        say(f"{len(material.left_out):,} clips are left out, with the reasons in {folder}/left_out.jsonl")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    say(f"{parameters:,} parameters, {len(tokenizer)} tokens, {material.hours:.2f} h of clips, {steps:,} updates")
    say(f"run: {folder}")

    if settings.compile:
        network.loss = torch.compile(network.loss, dynamic=True)  # type: ignore[method-assign]
    module = Recogniser(network, method, recipe.loss, settings, steps)
    average = Average(steps, settings.average, settings.average_share)
    where = {"accelerator": accelerator, "devices": devices, "logger": loggers}
    _fit(module, method, average, material, tokenizer, folder, where, going_on, view)
    if main:
        _finish(folder, about, recipe, method, average, network)
        say(f"weights: {folder / runs.WEIGHTS}")
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # what comes next may begin with these weights
    return folder


def _fit(
    module: Recogniser,
    method: Method,
    average: Average,
    material: Material,
    tokenizer: Tokenizer,
    folder: Path,
    where: dict[str, Any],
    going_on: bool,
    view: View,
) -> None:
    settings, steps = module.settings, module.steps
    own = rank()
    report = Report(folder, view, folder.name, material.planner, settings.accumulate)
    every = settings.validate_every or max(steps // 10, 1)
    checkpoints = Checkpoints(folder, settings.save_minutes, view.say)
    callbacks: list[Callback] = [
        method,
        average,
        Validation(lambda: material.looked_at(own), tokenizer, every, report),
        report,
        checkpoints,
    ]
    several = material.planner.ranks > 1
    trainer = Trainer(
        **where,
        num_nodes=settings.nodes,
        strategy="ddp" if several else "auto",
        sync_batchnorm=several and where["accelerator"] == "cuda",
        precision="bf16-mixed" if settings.precision == "bf16" else "32-true",
        max_steps=steps,
        max_epochs=-1,
        accumulate_grad_batches=settings.accumulate,
        callbacks=callbacks,
        default_root_dir=folder,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        # We write a checkpoint when the queue says so; requeueing is the job script's to do.
        plugins=[SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else None,
    )
    done = updates_of(folder / CHECKPOINT) if going_on else 0
    start = material.planner.after(Position(), done * settings.accumulate)
    left = (steps - done) * settings.accumulate
    loader = data.Loader(material.stream, own, start, left, settings.workers)
    with Signals(checkpoints), loader:
        trainer.fit(module, loader, ckpt_path=folder / CHECKPOINT if going_on else None, weights_only=True)


def _finish(folder: Path, about: About, recipe: TrainRecipe, method: Method, average: Average, network: AVSR) -> None:
    """Write the weights and what they are; nothing is left to go on from."""
    weights = method.settled(average.weights())
    prunable = nn.prunable(AVSR(about.modality, recipe.network, network.tokens))
    zeros = sum(int((weights[name] == 0).sum()) for name in prunable)
    share = zeros / sum(parameter.numel() for parameter in prunable.values())
    parameters = sum(weights[name].numel() for name, _ in network.named_parameters() if name in weights)
    about = replace(about, sparsity=round(share, 6), parameters=parameters, nonzero=parameters - zeros)
    runs.write_recipe(folder, about, recipe.sections())
    runs.write_weights(folder, weights)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _tokenizer(recipe: TrainRecipe, corpus: Prepared, folder: Path | None) -> tuple[Tokenizer, tuple[str, ...]]:
    """That of the run that goes on or is begun with, else one made as the recipe says."""
    if folder is not None and folder.is_dir():
        return load_tokenizer(folder), ()
    texts = (entry.text or "" for shard in corpus.shards(TRAIN) for entry in shard)
    return make_tokenizer(texts, recipe.text)


def _start(request: TrainRequest, recipe: TrainRecipe, about: About, view: View) -> Path | None:
    if recipe.init.run is None:
        return None
    start = _run_named(recipe.init.run, about.size, FORM, request, about, view)
    given = [given for given in request.assignments if given.startswith("text.")]
    if given and recipe.init.part == "all" and start.is_dir():
        raise Refused(f"{given[0]} is for new tokens, and {start} comes with its own: leave it out")
    return start


def _teacher(request: TrainRequest, recipe: TrainRecipe, about: About, view: View) -> runs.Run | None:
    if not recipe.has_teacher:
        return None
    size = recipe.teacher.size or about.size
    return runs.open_run(_run_named(recipe.teacher.run, size, ("text",), request, about, view))


def _check_chain(recipe: TrainRecipe, about: About, chain: tuple[tuple[str, str], ...] = ()) -> None:
    """Refuse a system that would have to be trained before itself: what it begins with, or its teacher, needs it."""
    chain = (*chain, (about.system, about.size))
    for name, size in needed_by(recipe, about.size):
        runs.check_name(name)
        if name not in recipes.names("models") or Path(name).is_file() or (Path(name) / runs.RECIPE).is_file():
            continue  # it is there, or is refused when it is looked for
        needed, its_recipe = replace(about, system=name, size=size), load_recipe(name, size, ())[0]
        folder = runs.default_folder(needed)
        last = rounds_of(its_recipe, folder)[-1][0] if its_recipe.rounds.sparsities else folder
        if (last / runs.WEIGHTS).is_file():
            continue
        if (name, size) in chain:
            way = " -> ".join(system for system, _ in (*chain, (name, size)))
            raise Refused(
                f"{name}, size {size}, cannot be trained: it needs itself first ({way}); name a finished run in its"
                " init.run or teacher.run, or nothing"
            )
        _check_chain(its_recipe, needed, chain)


def _run_named(name: str, size: str, form: tuple[str, ...], request: TrainRequest, about: About, view: View) -> Path:
    """A run's folder, a file of weights, or the run of a system on this corpus, trained first where it is missing."""
    if Path(name).is_file():
        return Path(name)
    needed = runs.default_folder(replace(about, system=name, size=size))
    is_folder = (Path(name) / runs.RECIPE).is_file()
    if is_folder:
        needed = Path(name)
    elif name not in recipes.names("models"):
        needed = runs.find_run(name, about.corpus)
    if (needed / runs.WEIGHTS).is_file():
        before = runs.open_run(needed).about
        if before.corpus == about.corpus and before.corpus_fingerprint not in ("", about.corpus_fingerprint):
            raise Refused(
                f"{needed} was trained on another state of {about.corpus}, whose training clips may be test clips now:"
                " move it away and train it again, or give the --data it was trained on"
            )
        return needed
    if is_folder or name not in recipes.names("models"):
        raise Refused(
            f"{needed} has no {runs.WEIGHTS}: the run is not finished; go on with its train command and --resume"
        )
    check_started_outside(load_recipe(name, size, ())[0].train)
    # By its own recipe: a run of this name must be the same whoever asked for it.
    where = data.without_secrets(request.data or f"data/{about.corpus}")
    words = ["train", name, "--data", where, "--size", size]
    words += ["--modality", request.modality, "--seed", str(request.seed)]
    command = shlex.join(["avsr-bench", *words])
    if given := [given for given in request.assignments if given.partition(".")[0] in form]:
        raise Refused(
            f"{request.system} needs {name}, which is not trained yet on {about.corpus}; by its own recipe it would not"
            f" fit {given[0]}: train it first, with `{command} {shlex.join(given)}`"
        )
    view.say(f"{request.system} needs {name}, which is not trained yet on {about.corpus}: first {needed}")
    first = TrainRequest(name, request.data, size, request.modality, request.seed, None, True, (), command)
    return train(first, view)[-1]


def _steps(settings: TrainSettings, material: Material) -> int:
    if settings.steps is not None:
        return settings.steps
    whole = int(settings.epochs)
    batches = material.planner.batches(whole)
    if settings.epochs > whole:
        batches += round((settings.epochs - whole) * len(material.planner.plan(whole)[0]))
    return max(batches // settings.accumulate, 1)
