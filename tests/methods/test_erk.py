import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Size

from avsr_bench.methods.erk import erk
from avsr_bench.nn import AVSR, NetworkSettings, prunable

FIRST = "encoders.video"
LAYERS = {  # BASE-L: at 0.8, 0.5 and 0.2
    f"{FIRST}.frontend.stem.weight": (1, 1, 0.565),
    f"{FIRST}.frontend.stages.0.0.conv1.weight": (1, 0.963, 0.383),
    f"{FIRST}.frontend.stages.1.1.conv1.weight": (0.804, 0.471, 0.187),
    f"{FIRST}.frontend.stages.2.1.conv1.weight": (0.397, 0.233, 0.093),
    f"{FIRST}.frontend.stages.3.1.conv1.weight": (0.198, 0.116, 0.046),
    f"{FIRST}.project.weight": (1, 0.862, 0.343),
    f"{FIRST}.blocks.0.attention.query.weight": (1, 0.690, 0.275),
    f"{FIRST}.blocks.0.feed_forward_in.expand.weight": (0.736, 0.431, 0.172),
    f"{FIRST}.blocks.0.convolution.expand.weight": (0.884, 0.518, 0.206),
    f"{FIRST}.blocks.0.convolution.depthwise.weight": (1, 1, 1),
    f"{FIRST}.blocks.0.convolution.reduce.weight": (1, 0.690, 0.275),
    "decoder.output.weight": (0.679, 0.397, 0.158),
    "ctc.weight": (0.679, 0.397, 0.158),
}


@pytest.mark.parametrize(("column", "density"), [(0, 0.8), (1, 0.5), (2, 0.2)])
def test_densities_of_base_l(column: int, density: float) -> None:
    with torch.device("meta"):
        network = AVSR("video", NetworkSettings(), tokens=5049)
    densities = erk({name: of.shape for name, of in prunable(network).items()}, density)
    assert {name: round(densities[name], 3) for name in LAYERS} == {name: of[column] for name, of in LAYERS.items()}


shapes = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=5), min_size=1, max_size=8)


@settings(deadline=None)
@given(shapes, st.floats(0.001, 1))
def test_layers_together_keep_the_share_and_none_more_than_all(drawn: list[list[int]], density: float) -> None:
    layers = {str(number): Size(shape) for number, shape in enumerate(drawn)}
    densities = erk(layers, density)
    assert all(0 <= of <= 1 for of in densities.values())
    sizes = {name: math.prod(shape) for name, shape in layers.items()}
    assert math.isclose(
        sum(sizes[name] * densities[name] for name in layers), density * sum(sizes.values()), rel_tol=1e-9
    )


@pytest.mark.parametrize("kernel", [(), (9,), (3, 3), (5, 7, 7)])
def test_a_layer_is_as_dense_as_its_dimensions_sum_over_their_product(kernel: tuple[int, ...]) -> None:
    layers = {"a": Size((64, 32, *kernel)), "b": Size((128, 64, *kernel))}
    densities = erk(layers, 0.1)
    raw = {name: sum(of) / math.prod(of) for name, of in layers.items()}
    assert math.isclose(densities["a"] / densities["b"], raw["a"] / raw["b"])
