"""Views: every image mode and size, inputs untouched, draws that repeat and do not depend on each other."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sightline.errors import UserError
from sightline.views import (
    VIEWS,
    Black,
    Grey,
    Noise,
    Patches,
    PixelView,
    Swapped,
    TextOnly,
    fingerprint,
    generator,
    rgb,
    view,
)

MODES = [
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "I;16",
    "F",
]
SINGLE = [view(name) for name, kind in VIEWS.items() if issubclass(kind, PixelView) and name != "swapped"]


def make_image(mode="RGB", size=(31, 17)):
    pixels = np.random.default_rng(0).integers(1, 255, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    if mode in ("I;16", "I"):
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256).convert(mode)
    if mode in ("La", "PA"):
        return image.convert("LA").convert(mode)
    return image.convert("RGBA").convert(mode) if mode == "RGBa" else image.convert(mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("taken", SINGLE, ids=lambda taken: taken.name)
def test_every_mode_gives_rgb_of_the_same_size_and_is_not_changed(taken, mode):
    image = make_image(mode)
    before = image.tobytes()
    result = taken.apply(image, generator(0, 0, "a"))
    assert (result.mode, result.size) == ("RGB", image.size)
    assert image.mode == mode
    assert image.tobytes() == before
    result.putpixel((0, 0), (1, 2, 3))
    assert image.tobytes() == before


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (13, 15), (14, 14), (28, 29)])
@pytest.mark.parametrize("taken", SINGLE, ids=lambda taken: taken.name)
def test_every_size_works(taken, size):
    assert taken.apply(make_image(size=size), generator(0, 0, "a")).size == size


def test_sixteen_bit_greys_keep_their_shades():
    shades = Image.fromarray(np.array([[0, 256 * 100, 65535]], dtype=np.uint16))
    assert [value[0] for value in np.asarray(rgb(shades))[0].tolist()] == [0, 100, 255]


def test_32_bit_greys_are_8_bit_unless_they_exceed_it():
    small = Image.fromarray(np.array([[0, 100, 255]], dtype=np.int32))
    large = Image.fromarray(np.array([[-5, 256 * 100, 10**6]], dtype=np.int32))
    assert [value[0] for value in np.asarray(rgb(small))[0].tolist()] == [0, 100, 255]
    assert [value[0] for value in np.asarray(rgb(large))[0].tolist()] == [0, 100, 255]


def test_patches_larger_than_the_image_are_one_patch():
    huge = Patches(size=10**9, probability=1.0)
    assert np.asarray(huge.apply(make_image(), generator(0, 0, "a"))).max() == 0


def test_transparency_is_seen_on_white():
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    assert rgb(clear).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (2, 2), 3)
    palette.info["transparency"] = 3
    assert rgb(palette).getpixel((0, 0)) == (255, 255, 255)


def test_patches_are_squares_of_the_grid_that_are_black_or_untouched():
    image = make_image(size=(50, 40))
    pixels = np.asarray(Patches(size=14, probability=0.5).apply(image, generator(1, 2, "x")))
    original = np.asarray(image)
    states = []
    for top in range(0, 40, 14):
        for left in range(0, 50, 14):
            patch = np.s_[top : top + 14, left : left + 14]
            black, same = (pixels[patch] == 0).all(), (pixels[patch] == original[patch]).all()
            assert black != same
            states.append(black)
    assert 0 < sum(states) < len(states)


def test_the_share_of_black_patches_follows_the_probability():
    image = Image.new("RGB", (700, 700), "white")
    for probability in (0.0, 0.5, 0.6, 1.0):
        shown = np.asarray(Patches(probability=probability).apply(image, generator(0, 0, "a")))
        assert abs((shown[::14, ::14, 0] == 0).mean() - probability) < 0.05


def test_noise_grey_and_black_do_what_they_say():
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    noise = np.asarray(Noise(sigma=10).apply(grey, generator(0, 0, "a"))).astype(float) - 128
    assert abs(noise.std() - 10) < 0.3
    assert abs(noise.mean()) < 0.3
    assert Grey(level=7).apply(grey, generator(0, 0, "a")).getcolors() == [(40000, (7, 7, 7))]
    assert Black().apply(grey, generator(0, 0, "a")).getcolors() == [(40000, (0, 0, 0))]


def test_a_view_can_be_drawn_again_from_its_names():
    draw = lambda *key: Patches().apply(make_image(size=(90, 90)), generator(*key)).tobytes()  # noqa: E731
    key = (3, 7, "problem-1", 2)
    assert draw(*key) == draw(*key)
    others = [(4, 7, "problem-1", 2), (3, 8, "problem-1", 2), (3, 7, "problem-2", 2), (3, 7, "problem-1", 3)]
    assert len({draw(*key), *(draw(*other) for other in others)}) == 5


def test_names_that_run_together_are_different():
    draws = [generator(1, 2, "3").integers(2**62), generator(1, 23, "").integers(2**62)]
    draws += [generator(12, 3, "").integers(2**62), generator(1, 2, "", 3).integers(2**62)]
    assert len(set(draws)) == 4


def test_the_generator_is_the_same_in_another_process():
    code = (
        "from sightline.views import generator; import json;"
        "print(json.dumps(generator(5, 6, 'ü/\\udcff', 1).integers(2**62, size=3).tolist()))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(shown) == generator(5, 6, "ü/\udcff", 1).integers(2**62, size=3).tolist()


def test_swapped_never_shows_the_own_image_if_another_exists():
    partners = Swapped().partners(["a", "a", "b", None, "a"], generator(0, 0, "batch"))
    assert partners[0] == partners[1] == partners[4] == 2
    assert partners[2] in (0, 1, 4)
    assert partners[3] == 3


def test_swapped_keeps_its_own_only_when_it_has_to():
    assert Swapped().partners(["a", "a"], generator(0, 0, "batch")) == [0, 1]
    assert Swapped().partners(["a", None], generator(0, 0, "batch")) == [0, 1]


def test_swap_gives_the_partner_s_images_at_the_own_sizes():
    red, blue = Image.new("RGB", (8, 4), "red"), Image.new("P", (5, 5))
    blue.putpalette([0, 0, 255])
    problems = [[red], [blue, blue.resize((3, 2))], []]
    swapped = Swapped().swap(problems, generator(0, 0, "batch"))
    assert [[image.size for image in images] for images in swapped] == [[(8, 4)], [(5, 5), (3, 2)], []]
    assert swapped[0][0].getpixel((0, 0)) == (0, 0, 255)
    assert swapped[1][1].getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(TypeError, match="swap"):
        Swapped().apply(red, generator(0, 0, "a"))


def test_fingerprints_tell_images_apart_by_what_they_show():
    image = make_image()
    assert fingerprint([image]) == fingerprint([image.copy()])
    assert fingerprint([image]) != fingerprint([image, image])
    assert fingerprint([Image.new("RGB", (2, 8))]) != fingerprint([Image.new("RGB", (8, 2))])
    assert fingerprint([]) is None


@pytest.mark.parametrize("name", VIEWS)
def test_plain_data_builds_the_same_view(name):
    assert view(view(name).plain()) == view(name)
    assert view(json.loads(json.dumps(view(name).plain()))) == view(name)


def test_text_only_is_a_description_of_attention():
    assert TextOnly().kind == "attention"
    assert not hasattr(TextOnly(), "apply")
    assert Patches().kind == "pixels"


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("pathces", "did you mean patches"),
        ({"name": "patches", "sise": 3}, "did you mean size"),
        ({"name": "patches", "probability": 1.5}, r"\[0, 1\]"),
        ({"name": "patches", "size": 0}, r"an integer in \[1"),
        ({"name": "patches", "size": 1.5}, "an integer"),
        ({"name": "patches", "per": "batch"}, "per"),
        ({"name": "grey", "level": 256}, r"\[0, 255\]"),
        ({"name": "noise", "sigma": "1e3"}, "a number"),
        ({"name": "text_only", "per": "rollout"}, "valid: prompt"),
        ({"size": 3}, "name"),
    ],
)
def test_mistakes_are_named(description, message):
    with pytest.raises(UserError, match=message):
        view(description)
