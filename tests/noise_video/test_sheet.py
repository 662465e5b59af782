"""`noise preview`: a sheet with every family and level."""

import numpy as np
import people
import pytest
from PIL import Image
from videos import scene, write_video

from avsr_bench import noise, shards
from avsr_bench.noise_video import sheet
from avsr_bench.noise_video.sheet import preview
from avsr_bench.records import Clip, Refused, Sample, rng_for


def tile(picture, family, level):
    row = list(noise.FAMILIES).index(family)
    x = sheet.MARGIN + sheet.NAME + level * (sheet.TILE + sheet.GAP)
    y = sheet.HEAD + row * (sheet.TILE + sheet.CAPTION + sheet.GAP)
    return np.asarray(picture)[y : y + sheet.TILE, x : x + sheet.TILE]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def prepared(folder, mouths):
    from avsr_bench.media import encode_mouth

    clips = (Clip("s1%2Fa", folder / "a.mp4", "test", "s1", ""),)
    with shards.ShardWriter(folder, shards.PlannedShard("test", 0, clips)) as writer:
        writer.add(Sample("s1%2Fa", "test", len(mouths), "", "s1", {"mouth.mp4": encode_mouth(mouths), "json": b"{}"}))
        writer.commit()


def test_every_tile_is_the_noise_it_names(tmp_path):
    assert preview(None, tmp_path / "sheet.png", seed=4) == "a drawn mouth"
    picture = Image.open(tmp_path / "sheet.png")
    mouth = noise.drawn_mouth()
    for family in noise.FAMILIES:
        assert np.array_equal(tile(picture, family, 0), mouth[37])
        for level in range(1, 11):
            corrupted = noise.apply(mouth, family, level, rng_for(4, "drawn", family))
            assert np.array_equal(tile(picture, family, level), corrupted[37])
    assert (tmp_path / "sheet.png").stat().st_size < 600_000


def test_of_a_video_with_a_face(tmp_path):
    frames = people.clip(12, lambda t: [("astronaut", people.place((160, 110), 90 + t / 4))])
    source = write_video(tmp_path / "face.mp4", frames)
    assert preview(source, tmp_path / "sheet.png") == "face.mp4"
    shown = tile(Image.open(tmp_path / "sheet.png"), "blur", 0)
    assert shown.std() > 10


@pytest.mark.parametrize("shape", [(96, 96), (112, 112), (96, 96, 3)], ids=str)
def test_of_prepared_shards(tmp_path, shape):
    mouths = np.full((9, *shape), 60, np.uint8)
    mouths[:, 30:60, 20:80] = 200
    prepared(tmp_path / "data/mine", mouths)
    assert preview(tmp_path / "data/mine", tmp_path / "sheet.png").endswith("test: s1%2Fa")
    picture = Image.open(tmp_path / "sheet.png")
    assert picture.mode == ("RGB" if len(shape) == 3 else "L")
    assert np.median(tile(picture, "motion", 0)[38:44, 40:60]) == pytest.approx(200, abs=3)


def test_damaged_shards_are_refused_in_one_line(tmp_path):
    folder = tmp_path / "data/mine"
    prepared(folder, np.full((9, 96, 96), 60, np.uint8))
    tar = folder / "test/test-000000.tar"
    tar.write_bytes(tar.read_bytes()[:512] + b"\xff" * (tar.stat().st_size - 512))
    with pytest.raises(Refused, match=r"s1%2Fa\.mouth\.mp4 is not what its index says.*avsr-bench validate"):
        preview(folder, tmp_path / "sheet.png")


def test_the_synthetic_corpus_is_shown_where_it_is_prepared(tmp_path):
    prepared(tmp_path / "data/synth", np.full((9, 96, 96), 60, np.uint8))
    (tmp_path / "data/synth/prep.json").write_text("{}")
    assert preview(None, tmp_path / "sheet.png").startswith("data/synth, test")


def test_what_cannot_be_shown_is_refused_in_one_line(tmp_path):
    faceless = write_video(tmp_path / "scene.mp4", [scene(n) for n in range(30)])
    with pytest.raises(Refused, match=r"scene.mp4 cannot be shown: no-face"):
        preview(faceless, tmp_path / "sheet.png")
    with pytest.raises(Refused, match=r"absent.mp4 cannot be shown: missing-file"):
        preview(tmp_path / "absent.mp4", tmp_path / "sheet.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused, match=r"empty has no mouths to show"):
        preview(tmp_path / "empty", tmp_path / "sheet.png")
    with pytest.raises(Refused, match=r"cannot write .*nowhere/sheet.png"):
        preview(None, tmp_path / "nowhere/sheet.png")
    with pytest.raises(Refused, match=r"cannot write .*sheet.txt"):
        preview(None, tmp_path / "nowhere/sheet.txt")
    assert not (tmp_path / "sheet.png").exists()
