"""A corpus recipe: the YAML of `pipelines/` and the settings of the parts that it names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .. import corpora, noise, recipes
from ..faces import FaceSettings
from ..prepare_clip import ClipSettings, CropSettings, NoiseSettings
from ..records import Misused
from ..shards import ShardSettings
from ..synth import SynthSettings


@dataclass(frozen=True, slots=True)
class TrainDefaults:
    """What `train` takes from a corpus recipe."""

    size: Literal["tiny", "small", "large"] = "tiny"  # of the models trained on this corpus


@dataclass(frozen=True, slots=True)
class PrepSettings:
    """The sections that every corpus recipe may have."""

    clips: ClipSettings = field(default_factory=ClipSettings)
    faces: FaceSettings = field(default_factory=FaceSettings)
    crop: CropSettings = field(default_factory=CropSettings)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    shards: ShardSettings = field(default_factory=ShardSettings)
    train: TrainDefaults = field(default_factory=TrainDefaults)


@dataclass(frozen=True, slots=True)
class PrepRecipe:
    """One recipe, resolved: where it was read, which reader finds the clips where, and all settings."""

    path: Path
    reader: str
    root: Path
    corpus: Any  # the reader's own settings
    synth: SynthSettings | None  # for a corpus that we make
    settings: PrepSettings


def load_recipe(name: str, root: Path | None, assignments: Iterable[str]) -> PrepRecipe:
    """The recipe of a corpus with the user's root and `key=value` laid over it."""
    path = recipes.find("pipelines", name)
    content = recipes.override(recipes.load(path), assignments)
    where = str(path)
    corpus = recipes.section(content, "corpus", where)
    content.pop("corpus", None)
    reader = corpus.pop("reader", None)
    if not isinstance(reader, str) or reader not in corpora.READERS:
        raise Misused(f"{where}: corpus.reader = {reader!r}.{recipes.nearest(str(reader), corpora.READERS)}")
    given_root = corpus.pop("root", None)
    root = root or (Path(str(given_root)) if given_root else None)
    if root is None:
        raise Misused(f"{where} names no root: say where the clips are with --root DIR")
    made = content.pop("synth", None)
    return PrepRecipe(
        path=path,
        reader=reader,
        root=root.expanduser(),
        corpus=_section(corpora.READERS[reader].settings, corpus, where, "corpus"),
        synth=_section(SynthSettings, made or {}, where, "synth") if made is not None else None,
        settings=recipes.build(PrepSettings, content, where),
    )


def deciding(recipe: PrepRecipe, only_detect: bool) -> dict[str, Any]:
    """The settings that decide the bytes of a sample, as plain values: they enter the plan's fingerprint."""
    settings = recipe.settings
    return {
        "reader": recipe.reader,
        "clips": asdict(settings.clips),
        "faces": asdict(settings.faces),
        "crop": asdict(settings.crop),
        "noise": {**asdict(settings.noise), "version": noise.VERSION} if settings.noise.frames else None,
        "only_detect": only_detect,
    }


def _section(settings_type: type, content: dict[str, Any], where: str, section: str) -> Any:
    """Settings of one section, named in full where they are wrong: corpus.split, not split."""
    wrapper: type = dataclass(frozen=True)(type("Section", (), {"__annotations__": {section: settings_type}}))
    return getattr(recipes.build(wrapper, {section: content}, where), section)
