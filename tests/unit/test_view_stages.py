"""Which size of an image a view is drawn on, and that what is shown keeps the image's own grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from data_sets import encoded
from PIL import Image
from tiny_models import build, make_image
from transformers import Qwen2VLImageProcessorPil

from sightline.methods import method
from sightline.models.draw_views import draw_view
from sightline.models.families import process_images
from sightline.tasks.rows.decode_images import Origin, shown
from sightline.views import STAGES, VIEWS, PixelView, view

PIXELS = [(name, kind) for name, kind in VIEWS.items() if issubclass(kind, PixelView)]


@pytest.fixture(scope="module")
def published() -> Any:
    """Qwen2.5-VL's own sizes: patches of 14, merged by two, up to 12.8 million pixels."""
    processor = build("qwen2_5_vl")[1]
    processor.image_processor = Qwen2VLImageProcessorPil(
        patch_size=14,
        merge_size=2,
        size={"shortest_edge": 3136, "longest_edge": 12845056},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return processor


def shares(processor: Any, size: tuple[int, int], taken: PixelView) -> list[float]:
    """Shares of the model's patches that are black, clean, and mixed, to 2 %, over six drawings."""
    image = shown(encoded(Image.new("RGB", size, "white"), "PNG"), Origin(), 200_704, 1_003_520)
    drawn = [draw_view(taken, [[image]], ["a"], processor, seed=0, step=step)[0] for step in range(6)]
    pixels = np.concatenate([process_images(processor, one)["pixel_values"].numpy() for one in drawn])
    light = (pixels.mean(1) + 1) / 2
    black, clean, count = (light < 0.02).sum(), (light > 0.98).sum(), len(light)
    return [black / count, clean / count, 1 - (black + clean) / count]


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("papo", (400, 400), (0.23, 0.07, 0.70)),
        ("papo", (300, 200), (0.36, 0.18, 0.46)),
        ("papo", (3000, 2000), (0.01, 0.00, 0.99)),
        ("vppo", (640, 480), (0.12, 0.12, 0.76)),
        ("vppo", (1000, 700), (0.26, 0.26, 0.48)),
    ],
)
def test_released_views_cover_the_patches_that_the_codes_do(name, size, expected, published) -> None:
    taken = method(name, variant="released").view
    assert shares(published, size, taken) == pytest.approx(expected, abs=0.04)


def test_at_the_model_s_size_patches_are_black_or_clean(published) -> None:
    assert shares(published, (640, 480), method("vppo").view) == pytest.approx((0.5, 0.5, 0), abs=0.03)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", [name for name, _ in PIXELS])
@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "gemma3", "internvl"])
def test_a_view_keeps_the_grid_of_its_image(family: str, name: str, stage: str) -> None:
    processor: Any = build(family)[1]
    inner = processor.image_processor
    if "qwen" in family:  # one size of budget, under which nearly every second rounding differs
        inner.size = {"shortest_edge": 64 * 64, "longest_edge": 64 * 64}
    data = [encoded(make_image(w, h, w), "PNG") for w, h in ((90, 50), (61, 133), (47, 47))]
    images = [shown(value, Origin(), 3000, 4000) for value in data]
    drawn = draw_view(view(name, stage=stage), [images], ["a"], processor, seed=0, step=0)[0]
    for image, other in zip(images, drawn, strict=True):
        first, second = process_images(processor, [image]), process_images(processor, [other])
        assert first["pixel_values"].shape == second["pixel_values"].shape
        if "image_grid_thw" in first:
            assert first["image_grid_thw"].tolist() == second["image_grid_thw"].tolist()


def test_an_image_that_was_never_resized_has_no_other_original(published) -> None:
    image = make_image(90, 50, 0)
    drawn = [
        draw_view(view("patches", stage=stage), [[image]], ["a"], published, seed=0, step=0)[0][0]
        for stage in ("original", "budget")
    ]
    assert drawn[0].tobytes() == drawn[1].tobytes()
