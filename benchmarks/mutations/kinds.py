"""What is damaged, and the commands that read it: for each kind, files of the world."""

from __future__ import annotations

from dataclasses import dataclass

from .mutate import Form
from .world import VIDEOS


@dataclass(frozen=True)
class Command:
    """The words behind `avsr-bench`, and where it may write."""

    words: str
    writes: tuple[str, ...] = ("out",)

    def split(self) -> list[str]:
        """Its words."""
        return self.words.split()


@dataclass(frozen=True)
class Target:
    """A file, what it is made of, and who reads it."""

    path: str
    form: Form
    commands: tuple[Command, ...]


def _commands(*lines: str, writes: tuple[str, ...] = ("out",)) -> tuple[Command, ...]:
    return tuple(Command(line, writes) for line in lines)


RUN, DATA = "runs/small/mine", "data/small"
TRAIN = f"--size mine --modality av --data {DATA} --out out/run train.steps=1"


def _video() -> tuple[Target, ...]:
    found = []
    for name, (file, *_) in VIDEOS.items():
        folder = f"videos/{name}"
        commands = _commands(
            f"prep folder --root {folder} --out out --workers 1 --min-yield 0",
            f"transcribe {folder}/{file} --model {RUN} --out out.json",
            f"noise apply {folder}/{file} out.mp4 --noise blur:3",
            writes=("out", "out.json", "out.mp4"),
        )
        crop = Command(f"prep folder --root {folder} --out out --workers 1 --min-yield 0 --already-cropped")
        preview = Command(f"transcribe {folder}/{file} --model {RUN} --preview out.mp4", ("out.mp4",))
        found.append(Target(f"{folder}/{file}", "bytes", (*commands, commands[0], commands[1], crop, preview)))
    for name, file in (("sound", "clip.wav"), ("flac", "clip.flac")):
        found.append(
            Target(
                f"videos/{name}/{file}",
                "bytes",
                _commands(f"prep folder --root videos/{name} --out out --workers 1 --min-yield 0"),
            )
        )
    return tuple(found)


def _prep(recipe: str, root: str, *more: str) -> tuple[Command, ...]:
    line = f"prep {recipe} --root {root} --out out --workers 1 --min-yield 0 --only detect"
    return _commands(" ".join((line, *more)))


POINTS: tuple[tuple[str, Form], ...] = (("npz", "npz"), ("npy", "bytes"), ("json", "json"), ("pkl", "bytes"))
MANIFESTS = (
    Target("table/manifest.csv", "csv", _prep("folder", "table")),
    Target("lines/manifest.jsonl", "jsonl", _prep("folder", "lines")),
    Target("table/manifest.csv", "csv", _prep("folder", "table")),
    Target("lines/manifest.jsonl", "jsonl", _prep("folder", "lines")),
    Target("texts/a/clip.txt", "text", _prep("folder", "texts")),
    Target("lrs2/mvlrs_v1/pretrain/200/00001.txt", "text", _prep("lrs2", "lrs2")),
    Target("lrs2/mvlrs_v1/train.txt", "text", _prep("lrs2", "lrs2")),
    Target("avspeech/avspeech_train.csv", "csv", _prep("avspeech", "avspeech")),
    Target("vox2/vox2_meta.csv", "csv", _prep("vox2", "vox2", "corpus.only_ids=en.id")),
    Target("vox2/en.id", "text", _prep("vox2", "vox2", "corpus.only_ids=en.id")),
    Target("grid/align/s1/bbaf2n.align", "text", _prep("grid", "grid", "corpus.split=unseen")),
    *(
        Target(f"points/{form}/a/clip.{form}", how, _prep("folder", "texts", f"--landmarks points/{form}"))
        for form, how in POINTS
    ),
)

READ = _commands(
    f"validate {DATA}",
    f"inspect {DATA} --out out.png",
    f"evaluate {RUN} --data {DATA} --out out",
    f"evaluate {RUN} --data {DATA} --sound babble:0 --out out",
    f"noise preview {DATA} --out out.png",
    writes=("out", "out.png"),
)
LEARN = Command(f"train mine {TRAIN}")
AGAIN = Command("prep folder --root listed --out data/small --workers 1 --min-yield 0", (DATA,))
FORCE = Command("prep folder --root listed --out data/small --workers 1 --min-yield 0 --force", (DATA,))
TRACKS = Command(f"prep folder --root listed --out out --workers 1 --min-yield 0 --landmarks {DATA}")

SHARDS = (
    Target(f"{DATA}/test/test-000000.tar", "bytes", READ),
    Target(f"{DATA}/train/train-000000.tar", "bytes", (READ[0], LEARN)),
    Target(f"{DATA}/test/test-000000.tracks.npz", "npz", (READ[0], READ[1], TRACKS)),
)
INDEXES = (
    Target(f"{DATA}/test/test-000000.jsonl", "jsonl", (*READ, AGAIN, TRACKS)),
    Target(f"{DATA}/train/train-000000.jsonl", "jsonl", (READ[0], READ[1], LEARN, AGAIN)),
    Target(f"{DATA}/prep.json", "json", (*READ, LEARN, AGAIN, FORCE)),
    Target(f"{DATA}/skipped.jsonl", "jsonl", (READ[0], READ[1], AGAIN)),
)

EVALUATE = Command(f"evaluate {RUN} --data {DATA} --out out")
RECIPES = (
    Target("models/mine.yaml", "yaml", _commands(f"train mine {TRAIN}", f"train mine {TRAIN}", "list", "list --json")),
    Target("models/sizes/mine.yaml", "yaml", _commands(f"train dense {TRAIN}")),
    Target(
        "pipelines/mine.yaml",
        "yaml",
        _commands("prep mine --root videos/mp4 --out out --workers 1 --min-yield 0", "list", "list --json"),
    ),
    Target(
        f"{RUN}/recipe.yaml",
        "yaml",
        (
            EVALUATE,
            *_commands(
                f"export {RUN} --format sparse --out out.safetensors",
                f"transcribe videos/mp4/clip.mp4 --model {RUN} --out out.txt",
                f"train mine {TRAIN} init.run={RUN}",
                f"robustness --noise none --models {RUN} --data {DATA} --out out",
                writes=("out", "out.safetensors", "out.txt"),
            ),
        ),
    ),
)

VERIFY = _commands("leaderboard verify --results results", "leaderboard verify --results results")
RENDER = _commands("leaderboard render --results results --runs nowhere --out out")
ROBUSTNESS = _commands(
    f"robustness --noise blur --levels 0,3 --models {RUN} --data {DATA} --out results", writes=("results",)
)
ARCHIVE: tuple[Form, ...] = ("archive",) * 6 + ("bytes",) * 2
RESULTS = (  # a rendering takes a second: seldom
    *(Target("results/small/mine/test.zip", form, (*VERIFY * 4, *RENDER, *ROBUSTNESS)) for form in ARCHIVE),
    Target("leaderboards/published.yaml", "yaml", RENDER),
)

OF_RUN = (
    *(EVALUATE, EVALUATE, EVALUATE),
    *_commands(
        f"export {RUN} --format sparse --out out.safetensors",
        f"train mine {TRAIN} init.run={RUN}",
        writes=("out", "out.safetensors"),
    ),
)
RESUME = Command(
    f"train mine --size mine --modality av --data {DATA} --out runs/small/begun --resume", ("runs/small/begun",)
)


def _import(file: str, form: Form) -> Target:
    more = f"train mine {TRAIN} init.run=weights/{file}"
    lines = _commands(*[f"import weights/{file} --tokenizer weights/SP.model --out out"] * 3, more)
    return Target(f"weights/{file}", form, lines)


WEIGHTS = (
    Target(f"{RUN}/model.safetensors", "safetensors", OF_RUN),
    Target(f"{RUN}/tokenizer.model", "bytes", OF_RUN[:1]),
    Target(f"{RUN}/tokenizer.json", "json", OF_RUN[:1]),
    Target(
        "weights/SP.model", "bytes", _commands("import weights/published.pth --tokenizer weights/SP.model --out out")
    ),
    _import("published.pth", "torch"),
    _import("lightning.ckpt", "bytes"),
    _import("published.safetensors", "safetensors"),
    _import("packed.safetensors", "safetensors"),
    Target("runs/small/begun/last.ckpt", "bytes", (RESUME,)),
)

LABELLED = "data/small/labels"
LABEL = "label data/small --with runs/small/mine --decode ctc --name"
LABELS = (
    Target(
        f"{LABELLED}/asr.jsonl",
        "jsonl",
        (Command(f"{LABEL} asr", (LABELLED,)), Command(f"train mine {TRAIN} data.labels=asr")),
    ),
    Target(f"{LABELLED}/asr.left_out.jsonl", "jsonl", (Command(f"{LABEL} asr", (LABELLED,)),)),
    Target(f"{LABELLED}/begun.parts/header.json", "json", (Command(f"{LABEL} begun", (LABELLED,)),)),
    Target(f"{LABELLED}/begun.parts/train-000000.jsonl", "jsonl", (Command(f"{LABEL} begun", (LABELLED,)),)),
)

KINDS: dict[str, tuple[Target, ...]] = {
    "video": _video(),
    "manifest": MANIFESTS,
    "shard": SHARDS,
    "index": INDEXES,
    "recipe": RECIPES,
    "result": RESULTS,
    "weights": WEIGHTS,
    "labels": LABELS,
}
