"""On pictures of mouths every level must corrupt more than the one before, and the last must leave a picture."""

from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from avsr_bench import faces, media, noise
from avsr_bench.records import rng_for

GRID = Path(__file__).parents[3] / "shared/data/grid/s1"
SHOWN = slice(None, None, 10)  # the frames looked at


def drawn(folder):
    return {"drawn": noise.drawn_mouth(76), "drawn, 112 px": noise.drawn_mouth(76, 112)}


def synth(folder):
    pytest.importorskip("espeakng_loader", reason="the synth extra is not installed")
    from avsr_bench.synth import SynthSettings, render, utterances

    settings = SynthSettings()
    chosen = {utterance.speaker: utterance for utterance in utterances(settings)}
    clips = {}
    for utterance in list(chosen.values())[:2]:
        render(utterance, folder, settings)
        clips[utterance.path] = mouth_of(folder / utterance.path)
    return clips


def grid(folder):
    if not GRID.is_dir():
        pytest.skip("../shared/data/grid is not there")
    return {path.stem: mouth_of(path) for path in sorted(GRID.glob("*.mp4"))[::200]}


def mouth_of(path):
    video = media.Video(path)
    track = faces.find_track(video, faces.FaceSettings())
    matrices = faces.crop_matrices(track.points)
    return np.stack([picture.warp(matrix, 96, "grey") for picture, matrix in zip(video, matrices, strict=True)])


@pytest.fixture(scope="session", params=[drawn, synth, grid], ids=lambda source: source.__name__)
def mouths(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("clips"))


def similarity(clean, corrupted):
    """PSNR and SSIM, means over frames."""
    error = ((clean.astype(float) - corrupted) ** 2).mean(axis=tuple(range(1, clean.ndim)))
    axis = -1 if clean.ndim == 4 else None
    pairs = zip(clean, corrupted, strict=True)
    alike = [structural_similarity(a, b, channel_axis=axis) for a, b in pairs]
    return (10 * np.log10(255**2 / error)).mean(), np.mean(alike)


@pytest.mark.parametrize("family", noise.FAMILIES)
def test_harm_grows_from_level_to_level(mouths, family):
    for key, clip in mouths.items():
        clips = [noise.apply(clip, family, level, rng_for(0, key, family)) for level in range(1, 11)]
        psnr, ssim = np.transpose([similarity(clip[SHOWN], corrupted[SHOWN]) for corrupted in clips])
        assert (np.diff(psnr) < 0).all(), (key, psnr)
        assert (np.diff(ssim) < 0).all(), (key, ssim)
        assert 25 < psnr[0] < 45, "level 1 is visible, and no more"
        assert psnr[-1] < 29, "level 10 is nearly destroyed"
        assert np.corrcoef(clip.ravel(), clips[-1].ravel())[0, 1] > 0.3, "and still a picture"


@pytest.mark.parametrize("family", noise.FAMILIES)
def test_harm_grows_in_colour_and_on_a_wide_picture(family):
    grey = noise.drawn_mouth(26, 200)[:, 20:180]
    clip = np.stack([grey, grey // 2 + 40, 255 - grey], axis=-1)
    clips = [noise.apply(clip, family, level, rng_for(0, "a", family), "frame") for level in range(1, 11)]
    psnr, ssim = np.transpose([similarity(clip[SHOWN], corrupted[SHOWN]) for corrupted in clips])
    assert (np.diff(psnr) < 0).all(), psnr
    assert (np.diff(ssim) < 0).all(), ssim
