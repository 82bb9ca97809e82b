"""Objects that turn freely and cover their neighbours, and a tag with a small number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from PIL import Image

from ..shapes.canvas import DIGIT_HEIGHT, DIGIT_WIDTH, SIDE, Canvas, shade, stamp_number
from ..shapes.counting import THINGS, Thing
from ..shapes.example import CELLS, CELLS_PER_SIDE, CellLabel, cell_labels
from ..shapes.variations import Variations
from ..shapes.vocabulary import COLOURS, NOTHING, SHAPES
from .difficulty import Difficulty
from .example import PuzzleExample
from .puzzle import Fact, Puzzle, signed
from .vocabulary import TAG

CELL = SIDE // CELLS_PER_SIDE
COUNTS = range(5)
TAG_NUMBERS = range(1, 10)
USUAL_TAG = 4
CORNERS = {"circle": 0, "square": 4, "triangle": 3}


@dataclass(frozen=True)
class ObjectScene:
    """Which cell the middle of each object lies in, and the tag's cell and number."""

    objects: dict[int, Thing]
    tag_cell: int
    tag: int

    def count(self, thing: Thing) -> int:
        """How many objects are exactly this thing."""
        return sum(there == thing for there in self.objects.values())


def usual_count(thing: Thing) -> int:
    """The likeliest number of a thing: 1, 2 or 3."""
    colour, shape = thing
    return 1 + (COLOURS.index(colour) + 2 * SHAPES.index(shape)) % 3


def _arrange(random: Random, level: Difficulty, groups: list[Thing]) -> ObjectScene:
    """As many of each group as the level says, and others, most of them easily confused."""
    room = CELLS - 1 - level.others[0]
    while True:
        counts = [level.value(random, usual_count(thing), COUNTS, len(groups) + 1) for thing in groups]
        if sum(counts) <= room:
            break
    things = [thing for thing, count in zip(groups, counts, strict=True) for _ in range(count)]
    others = [thing for thing in THINGS if thing not in groups]
    similar = [(c, s) for c, s in others if any(c == colour or s == shape for colour, shape in groups)]
    for _ in range(min(random.randint(*level.others), CELLS - 1 - len(things))):
        things.append(random.choice(similar if random.random() < 0.7 else others))
    tag_cell, *cells = random.sample(range(CELLS), len(things) + 1)
    tag = level.value(random, USUAL_TAG, TAG_NUMBERS, len(groups) + 1)
    return ObjectScene(dict(zip(cells, things, strict=True)), tag_cell, tag)


def _turned(corners: int, x: float, y: float, radius: float, turn: float) -> list[tuple[float, float]]:
    """The corners of a regular polygon around (x, y), `turn` in radians."""
    angles = [turn + 2 * math.pi * corner / corners for corner in range(corners)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _middle(cell: int) -> tuple[float, float]:
    row, column = divmod(cell, CELLS_PER_SIDE)
    return CELL * column + CELL / 2, CELL * row + CELL / 2


def _draw(random: Random, level: Difficulty, scene: ObjectScene) -> Image.Image:
    canvas = Canvas(background=random.randint(215, 250))
    for cell, (colour, shape) in scene.objects.items():
        radius = random.uniform(*level.radius)
        x, y = (middle + random.uniform(-level.wander, level.wander) for middle in _middle(cell))
        if corners := CORNERS[shape]:
            points = _turned(corners, x, y, 1.2 * radius, random.uniform(0, 2 * math.pi))
            canvas.polygon(points, shade(random, colour))
        else:
            canvas.shape(shape, x, y, radius, shade(random, colour))
    x, y = (middle + random.uniform(-2, 2) for middle in _middle(scene.tag_cell))
    canvas.shape("square", x, y, 6.2, (40, 40, 40))
    left, top = round(x - DIGIT_WIDTH / 2), round(y - DIGIT_HEIGHT / 2)
    return stamp_number(canvas.finish(), scene.tag, left, top, (255, 255, 255))


def _caption(scene: ObjectScene) -> str:
    said = {cell: " ".join(thing) for cell, thing in scene.objects.items()}
    said[scene.tag_cell] = f"{TAG} {scene.tag}"
    return " ".join(said.get(cell, NOTHING) for cell in range(CELLS))


def object_variations(random: Random, level: Difficulty) -> Variations:
    """Objects and a tag, and a question about some groups and the tag.

    An object may have another colour or number of corners, or the tag another number.
    """
    groups = random.sample(THINGS, level.groups)
    scene = _arrange(random, level, groups)
    sign = signed(random, _facts(scene, groups)).sign

    def puzzle(other: ObjectScene) -> Puzzle:
        return Puzzle(tuple(_facts(other, groups)), sign)

    def answer(other: ObjectScene) -> int | None:
        usual = all(other.count(thing) in COUNTS for thing in groups)
        return puzzle(other).possible_answer if usual else None

    return Variations(
        scene, lambda own, other: _example(own, level, other, puzzle(other)), lambda: _changed(scene), answer
    )


def _facts(scene: ObjectScene, groups: list[Thing]) -> list[Fact]:
    counted = [Fact(" ".join(thing), scene.count(thing), usual_count(thing)) for thing in groups]
    return [*counted, Fact(TAG, scene.tag, USUAL_TAG)]


def _changed(scene: ObjectScene) -> Iterator[ObjectScene]:
    """Circles stay circles: they are drawn without a turn, so all behind one would be drawn otherwise."""
    for cell, (colour, shape) in scene.objects.items():
        for other in THINGS:
            if (other[0] == colour) != (other[1] == shape) and (other[1] == "circle") == (shape == "circle"):
                yield replace(scene, objects={**scene.objects, cell: other})
    for tag in TAG_NUMBERS:
        if tag != scene.tag:
            yield replace(scene, tag=tag)


def _example(random: Random, level: Difficulty, scene: ObjectScene, puzzle: Puzzle) -> PuzzleExample:
    labels = {cell: CellLabel(*thing) for cell, thing in scene.objects.items()}
    labels[scene.tag_cell] = CellLabel(NOTHING, f"tag {scene.tag}")
    return PuzzleExample(
        scene=scene,
        image=_draw(random, level, scene),
        question=puzzle.question(random),
        reasoning=puzzle.reasoning(random),
        answer=puzzle.answer,
        kind="objects",
        cells=cell_labels(labels),
        caption=_caption(scene),
        puzzle=puzzle,
    )
