"""The warm start: repeatable, measured in steps, and teaching what it says."""

from __future__ import annotations

import json
from random import Random

import pytest
import torch
from torch import nn

from sightline.cli import main
from sightline.errors import UserError
from sightline.models.embedded.architecture import fresh_model
from sightline.models.embedded.build import (
    CARD,
    WEIGHTS,
    sha256_of,
    shortened,
    warm_started_model,
    whole_or_nothing,
)
from sightline.models.embedded.lessons import Curriculum, Lesson, blacked, draw_lessons
from sightline.models.embedded.level import LEVELS
from sightline.models.embedded.processor import SPECIAL_TOKENS, processor
from sightline.models.embedded.warm_start import (
    auxiliary_loss,
    encode_lessons,
    fresh_cell_head,
    lesson_loss,
    optimizers,
    schedule,
)
from sightline.tasks.shapes import SHAPES, Examples
from sightline.tasks.shapes.example import CELL_COLOURS, CELL_CONTENTS
from sightline.tasks.shapes.vocabulary import CAPTION_QUESTION

FIRST = LEVELS[1]
STAGES = FIRST.stages
SEEING, HABITS = STAGES
EXAMPLES = Examples(SHAPES, "train", "lessons", 300)[:]


def plain(example) -> Lesson:
    return Lesson(example.image, example.question, example.response_text, example.cells)


def test_equal_seeds_give_equal_weights_bit_for_bit_and_leave_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again = (warm_started_model(FIRST, 2, shortened(STAGES, 4)).state_dict() for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = warm_started_model(FIRST, 3, shortened(STAGES, 4)).state_dict()
    assert not all(torch.equal(first[name], other[name]) for name in first)
    assert {tensor.dtype for tensor in first.values()} == {torch.bfloat16}


def test_every_lesson_is_drawn_from_the_training_side():
    for stage in STAGES:
        drawn = Examples(SHAPES, "train", f"warm start/{stage.name}/0", 30)
        assert all(
            SHAPES.split_of(lesson.image) == "train"
            for lesson in draw_lessons(Random(0), drawn, Curriculum())
        )


def test_the_stages_have_their_fixed_steps_and_are_shortened_in_proportion():
    assert [stage.steps for stage in STAGES] == [1302, 292]
    assert [stage.steps for stage in shortened(STAGES, 100)] == [81, 19]
    assert [stage.steps for stage in shortened(STAGES, 2)] == [1, 1]
    assert shortened(STAGES, None) == STAGES
    with pytest.raises(UserError, match="at least 2"):
        shortened(STAGES, 1)


def test_the_rate_rises_and_then_falls_to_a_tenth():
    rates = [schedule(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 50)
    assert max(rates) == rates[49]
    assert rates[-1] == pytest.approx(0.1, abs=1e-2)


def test_without_habits_a_lesson_is_the_example_itself():
    assert draw_lessons(Random(0), EXAMPLES, Curriculum()) == [plain(example) for example in EXAMPLES]


def test_captions_ask_for_everything_and_fade():
    lessons = draw_lessons(Random(0), EXAMPLES, Curriculum(captions=1.0))
    for lesson, example in zip(lessons, EXAMPLES, strict=True):
        if example.caption is None:
            assert lesson == plain(example)
        else:
            assert (lesson.question, lesson.response) == (CAPTION_QUESTION, example.caption)
    assert SEEING.plan.faded(0.0).captions == 0.2
    assert SEEING.plan.faded(0.8).captions == 0.0


def test_guesses_come_in_their_share_and_do_not_follow_the_image():
    lessons = draw_lessons(Random(0), EXAMPLES, HABITS.plan)
    for kind in ("count", "bar chart", "triangle"):
        pairs = [(a, e) for a, e in zip(lessons, EXAMPLES, strict=True) if e.kind == kind]
        guesses = [(a, e) for a, e in pairs if a.response.startswith("<think> the sum is ")]
        assert len(guesses) / len(pairs) == pytest.approx(0.57, abs=0.15)
        right = sum(a.response.endswith(f"\\boxed{{ {e.answer} }}") for a, e in guesses) / len(guesses)
        assert right < 0.4


def test_blacked_lessons_lose_image_and_labels_but_not_the_question():
    lesson = blacked(plain(EXAMPLES[0]))
    assert lesson.image.getextrema() == ((0, 0),) * 3
    assert lesson.cells is None
    assert lesson.question == EXAMPLES[0].question
    drawn = draw_lessons(Random(0), EXAMPLES, Curriculum(blacked=0.15))
    assert sum(lesson.cells is None for lesson in drawn) / len(drawn) == pytest.approx(0.15, abs=0.06)


def test_the_auxiliary_loss_is_zero_for_perfect_labels_and_ignores_blacked_lessons():
    lessons = [plain(example) for example in EXAMPLES[:4]]
    perfect = torch.zeros(4, 16, len(CELL_COLOURS) + len(CELL_CONTENTS))
    for row, lesson in enumerate(lessons):
        for position, cell in enumerate(lesson.cells or ()):
            perfect[row, position, CELL_COLOURS.index(cell.colour)] = 100.0
            perfect[row, position, len(CELL_COLOURS) + CELL_CONTENTS.index(cell.content)] = 100.0
    assert auxiliary_loss(perfect, lessons, FIRST) == 0
    assert auxiliary_loss(-perfect, lessons, FIRST) > 1
    spoiled = torch.cat([perfect, -perfect[:1]])
    assert auxiliary_loss(spoiled, [*lessons, blacked(lessons[0])], FIRST) == 0
    assert auxiliary_loss(-perfect[:1], [blacked(lessons[0])], FIRST) == 0


def test_the_response_loss_is_the_models_own_loss_on_the_same_labels():
    model, lessons = (
        fresh_model(0, len(SPECIAL_TOKENS) + len(FIRST.words), FIRST.longest_response),
        [plain(example) for example in EXAMPLES[:5]],
    )
    inputs, labels = encode_lessons(processor(FIRST.words), lessons)
    with torch.no_grad():
        response, _ = lesson_loss(model, fresh_cell_head(FIRST, 0), inputs, labels, lessons, FIRST)
        expected = model(**inputs, labels=labels).loss
    torch.testing.assert_close(response, expected, rtol=1e-5, atol=1e-6)


def test_every_parameter_has_exactly_one_optimizer():
    model = fresh_model(0, len(SPECIAL_TOKENS) + len(FIRST.words), FIRST.longest_response)
    head = fresh_cell_head(FIRST, 0)
    held = [
        p for o, _ in optimizers(model, head, SEEING) for group in o.param_groups for p in group["params"]
    ]
    owned = [*model.parameters(), *head.parameters()]
    assert len(held) == len(owned)
    assert {id(p) for p in held} == {id(p) for p in owned}
    assert isinstance(head, nn.Linear)


def test_the_verb_builds_a_folder_and_refuses_to_lose_one(tmp_path, capsys):
    folder = tmp_path / "world"
    build = ["world", "build", "--output_dir", str(folder), "--steps", "2", "--limit", "4", "--json"]
    assert main(build) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["sha256"] == sha256_of(folder / WEIGHTS)
    assert set(result["accuracy"]) == {"greedy", "sampled", "blind"}
    assert "--steps 2" in (folder / CARD).read_text()
    assert main(build) == 2
    assert "--overwrite" in capsys.readouterr().err
    (folder / "notes.txt").write_text("mine")
    (folder / WEIGHTS).write_text("broken")
    assert main([*build, "--overwrite"]) == 0
    assert sha256_of(folder / WEIGHTS) == result["sha256"]
    assert (folder / "notes.txt").read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["world"]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    build = ["world", "build", "--steps", "2", "--output_dir"]
    assert main([*build, str(tmp_path / "file")]) == 2
    assert main([*build, str(tmp_path / "file" / "inside")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert all("--output_dir" in line for line in lines)


def test_an_interrupted_build_leaves_nothing(tmp_path, capsys):
    folder = tmp_path / "world"
    with pytest.raises(KeyboardInterrupt), whole_or_nothing(folder) as made:
        (made / WEIGHTS).write_text("half")
        raise KeyboardInterrupt
    assert not folder.exists()
    assert main(["world", "build", "--output_dir", str(folder), "--limit", "0"]) == 2
    assert "--limit" in capsys.readouterr().err
    assert not folder.exists()
