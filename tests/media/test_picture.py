"""Pictures against straightforward conversions in floating point."""

import cv2
import numpy as np
import pytest
from videos import scene

from avsr_bench.media import Picture, Upright

WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
KINDS = [(matrix, full) for matrix in WEIGHTS for full in (False, True)]
TO_CROP = np.array([[0.8, 0.1, -60.0], [-0.1, 0.8, -40.0]])


def stored(rgb: np.ndarray, matrix: str, full: bool, down: tuple[int, int] = (1, 1)) -> tuple[np.ndarray, ...]:
    """Y, Cb, Cr of an RGB picture from the definitions; chroma averaged over `down` (rows, columns)."""
    kr, kb = WEIGHTS[matrix]
    red, green, blue = np.moveaxis(rgb.astype(float), -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = [(blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)]
    scale, zero = ((1, 1), 0) if full else ((219 / 255, 224 / 255), 16)
    rows, columns = down
    planes = [luma * scale[0] + zero]
    for plane in chroma:
        small = plane.reshape(plane.shape[0] // rows, rows, plane.shape[1] // columns, columns).mean((1, 3))
        planes.append(small * scale[1] + 128)
    return tuple(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes)


def picture(rgb: np.ndarray, matrix: str = "bt601", full: bool = False, down: tuple[int, int] = (1, 1)) -> Picture:
    height, width = rgb.shape[:2]
    return Picture(stored(rgb, matrix, full, down), Upright(width, height), matrix, full, centred=True)  # type: ignore[arg-type]


def grey_of(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(float) @ [0.299, 0.587, 0.114]


def furthest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).max())


@pytest.mark.parametrize(("matrix", "full"), KINDS)
def test_grey_crop_is_that_of_rgb_within_two_levels(matrix: str, full: bool) -> None:
    rgb = scene(3)
    crop = picture(rgb, matrix, full, down=(2, 2)).warp(TO_CROP, 96)
    straight = cv2.warpAffine(grey_of(rgb), TO_CROP, (96, 96), flags=cv2.INTER_LINEAR)
    assert furthest(crop, straight) <= 2


@pytest.mark.parametrize(("matrix", "full"), KINDS)
@pytest.mark.parametrize("down", [(1, 1), (1, 2), (2, 2)])
def test_rgb_crop(matrix: str, full: bool, down: tuple[int, int]) -> None:
    rgb = scene(5)
    crop = picture(rgb, matrix, full, down).warp(TO_CROP, 96, "rgb")
    straight = cv2.warpAffine(rgb.astype(float), TO_CROP, (96, 96), flags=cv2.INTER_LINEAR)
    assert furthest(crop, straight) <= 4


@pytest.mark.parametrize(("matrix", "full"), KINDS)
def test_whole_frame(matrix: str, full: bool) -> None:
    rgb = scene(7)
    frame = picture(rgb, matrix, full, down=(2, 2))
    assert furthest(frame.rgb(), rgb) <= 4
    assert furthest(frame.grey(), grey_of(rgb)) <= 2.5


@pytest.mark.parametrize("turn", [None, np.array([[0.0, -1.0], [1.0, 0.0]])])
def test_whole_frame_with_a_step(turn: np.ndarray | None) -> None:
    frame = picture(scene(7), down=(2, 2))
    turned = Picture(frame.planes, Upright.of(320, 240, 1.0, turn), centred=True)
    assert furthest(turned.rgb(3), turned.rgb()[::3, ::3].astype(float)) <= 6  # chroma lies elsewhere by up to a pixel


def test_wrong_matrix_would_be_seen() -> None:
    """The bound of two levels is no formality: luma of BT.709 is not grey."""
    rgb = scene(3)
    luma = Picture(stored(rgb, "bt709", True), Upright(320, 240), "bt601", True).warp(TO_CROP, 96)
    straight = cv2.warpAffine(grey_of(rgb), TO_CROP, (96, 96), flags=cv2.INTER_LINEAR)
    assert furthest(luma, straight) > 6


@pytest.mark.parametrize(("matrix", "full"), KINDS)
@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_outside_is_black(matrix: str, full: bool, colour: str) -> None:
    beside = np.array([[1.0, 0, 500], [0, 1.0, 0]])
    assert picture(scene(0), matrix, full, (2, 2)).warp(beside, 32, colour).max() <= 1  # type: ignore[arg-type]


@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_packed_and_grey_pictures(colour: str) -> None:
    rgb = scene(2)
    height, width = rgb.shape[:2]
    packed = Picture((rgb,), Upright(width, height), full_range=True)
    assert np.array_equal(packed.rgb(), rgb)
    assert furthest(packed.grey(), grey_of(rgb)) <= 1
    straight = cv2.warpAffine(rgb, TO_CROP, (96, 96), flags=cv2.INTER_LINEAR)
    expected = straight if colour == "rgb" else grey_of(straight)
    assert furthest(packed.warp(TO_CROP, 96, colour), expected) <= 1  # type: ignore[arg-type]
    luma = np.rint(grey_of(rgb)).astype(np.uint8)
    grey = Picture((luma,), Upright(width, height), full_range=True)
    assert np.array_equal(grey.grey(), luma)
    assert np.array_equal(grey.rgb()[:, :, 2], luma)
    limited = Picture((np.full((40, 40), 16, np.uint8),), Upright(40, 40))
    assert limited.grey().max() == 0


def test_left_chroma_is_not_moved() -> None:
    """MPEG-2 siting: a chroma sample lies on every second luma column, between two luma rows."""
    luma = np.full((80, 160), 128, np.uint8)
    steps = np.clip(128 + 16 * (np.arange(80) - 20), 0, 255).astype(np.uint8)  # 128 at chroma column 20
    chroma = np.tile(steps, (40, 1))
    for centred, expected in ((False, 128), (True, 124)):  # luma column 40 is chroma column 20, or 19.75
        frame = Picture((luma, chroma, chroma), Upright(160, 80), "bt601", True, centred)
        blue = float(frame.warp(np.eye(2, 3), 64, "rgb")[30, 40, 2])
        assert abs((blue - 128) / 1.772 + 128 - expected) < 1


@pytest.mark.parametrize("scale", [0.45, 0.4, 0.3, 0.17, 0.09])
def test_big_faces_do_not_alias(scale: float) -> None:
    """A fine chequerboard shrunk must become even grey; plain bilinear sampling makes a pattern of it."""
    side = round(120 / scale)
    y, x = np.mgrid[0:side, 0:side]
    luma = ((((x // 2) + (y // 2)) % 2) * 200).astype(np.uint8)
    matrix = np.array([[scale, 0.02 * scale, -5.0], [-0.02 * scale, scale, -5.0]])
    crop = Picture((luma,), Upright(side, side), full_range=True).warp(matrix, 96)[8:-8, 8:-8]
    plain = cv2.warpAffine(luma, matrix, (96, 96), flags=cv2.INTER_LINEAR)[8:-8, 8:-8]
    assert crop.std() < 0.6 * plain.std()
    assert abs(crop.mean() - 100) < 3


def test_shrinking_does_not_shift() -> None:
    """A blob stays where the matrix says, at scales that are sampled once and finely."""
    for scale in (0.9, 0.5, 0.34, 0.2):
        y, x = np.mgrid[0:900, 0:900]
        luma = (255 * np.exp(-((x - 300.0) ** 2 + (y - 420.0) ** 2) / (2 * (12 / scale) ** 2))).astype(np.uint8)
        matrix = np.array([[scale, 0, 48 - 300 * scale], [0, scale, 40 - 420 * scale]])
        crop = Picture((luma,), Upright(900, 900), full_range=True).warp(matrix, 96).astype(float)
        rows, columns = np.mgrid[0:96, 0:96]
        assert abs((crop * columns).sum() / crop.sum() - 48) < 0.05
        assert abs((crop * rows).sum() / crop.sum() - 40) < 0.05


TURNS = {
    "none": ([[1, 0], [0, 1]], lambda a: a),
    "clockwise": ([[0, -1], [1, 0]], lambda a: np.rot90(a, -1)),
    "half": ([[-1, 0], [0, -1]], lambda a: np.rot90(a, 2)),
    "counter-clockwise": ([[0, 1], [-1, 0]], lambda a: np.rot90(a)),
    "mirrored": ([[-1, 0], [0, 1]], lambda a: a[:, ::-1]),
    "upside down": ([[1, 0], [0, -1]], lambda a: a[::-1]),
    "transposed": ([[0, 1], [1, 0]], lambda a: np.swapaxes(a, 0, 1)),
    "other diagonal": ([[0, -1], [-1, 0]], lambda a: np.rot90(np.swapaxes(a, 0, 1), 2)),
}


@pytest.mark.parametrize("name", TURNS)
def test_turned_pictures(name: str) -> None:
    turn, plainly = TURNS[name]
    rgb = scene(1, 160, 120)
    frame = Picture((rgb,), Upright.of(160, 120, 1.0, np.array(turn)), full_range=True)
    upright = np.ascontiguousarray(plainly(rgb))
    assert (frame.height, frame.width) == upright.shape[:2]
    assert np.array_equal(frame.rgb(), upright)
    matrix = np.array([[0.7, 0.1, -10.0], [-0.1, 0.7, -8.0]])
    straight = cv2.warpAffine(upright, matrix, (64, 64), flags=cv2.INTER_LINEAR)
    assert furthest(frame.warp(matrix, 64, "rgb"), straight.astype(float)) <= 3  # cv2 rounds positions to 1/32 px


@pytest.mark.parametrize("turn", [np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]])])
def test_pixels_come_out_square(turn: np.ndarray) -> None:
    """DV stores 16:9 in 720x576: a circle must come out as one."""
    y, x = np.mgrid[0:576, 0:720]
    aspect = 64 / 45
    luma = np.where((aspect * (x - 359.5)) ** 2 + (y - 287.5) ** 2 < 150**2, 255, 0).astype(np.uint8)
    frame = Picture((luma,), Upright.of(720, 576, aspect, turn), full_range=True)
    assert sorted((frame.width, frame.height)) == [576, 1024]
    disc = frame.grey() > 128
    assert abs(int(disc.any(0).sum()) - int(disc.any(1).sum())) <= 2
    crop = frame.warp(np.array([[0.25, 0, 48 - frame.width / 8], [0, 0.25, 48 - frame.height / 8]]), 96) > 128
    assert abs(int(crop.any(0).sum()) - int(crop.any(1).sum())) <= 1
    assert abs(int(crop.any(0).sum()) - 75) <= 1


def test_thumbnail_is_small_and_tells_frames_apart() -> None:
    frame = picture(scene(0, 640, 480), down=(2, 2))
    assert max(frame.thumbnail().shape) in range(40, 60)
    near = np.abs(frame.thumbnail().astype(int) - picture(scene(1, 640, 480)).thumbnail()).mean()
    far = np.abs(frame.thumbnail().astype(int) - picture(scene(30, 640, 480)).thumbnail()).mean()
    assert near < far


def test_nbytes_counts_the_padding_of_lines() -> None:
    padded = np.zeros((10, 64), np.uint8)[:, :50]
    assert Picture((padded,), Upright(50, 10)).nbytes == 640
