"""The model of Shapes-2: grown from the first, taught by its own lessons, shipped as its card says."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from random import Random

import pytest
import torch
from transformers import AutoModelForImageTextToText

from sightline.cli import main
from sightline.errors import UserError
from sightline.evaluation.measure_world import measure_world
from sightline.models.embedded.architecture import fresh_model, grown_model
from sightline.models.embedded.build import CARD, WEIGHTS, sha256_of
from sightline.models.embedded.lessons import draw_lessons, retold_from_habit
from sightline.models.embedded.level import LEVELS
from sightline.models.embedded.processor import SPECIAL_TOKENS, load_processor, token_ids
from sightline.models.embedded.warm_start import schedule, weights_of_words
from sightline.models.loading import load_model
from sightline.rewards import grade
from sightline.tasks import load_task
from sightline.tasks.shapes import Examples, ShapesTask

FIRST, SECOND = LEVELS[1], LEVELS[2]
SEEING, *_, HABITS = SECOND.stages
TOKENS = len(SPECIAL_TOKENS) + len(SECOND.words)
shipped = pytest.mark.skipif(not SECOND.checkpoint.exists(), reason="the checkpoint is not in this tree")


def test_words_of_the_first_level_keep_their_ids():
    first, second = token_ids(FIRST.words), token_ids(SECOND.words)
    assert {word: second[word] for word in first} == first
    assert len(second) == len(set(second.values())) == TOKENS


def test_a_grown_model_knows_what_the_smaller_one_knew_and_keeps_its_new_words():
    small = fresh_model(1, len(token_ids(FIRST.words)), FIRST.longest_response)
    grown = fresh_model(2, TOKENS, SECOND.longest_response)
    before = grown.get_input_embeddings().weight[len(token_ids(FIRST.words)) :].clone()
    grown_model(grown, small)
    after = grown.get_input_embeddings().weight
    assert torch.equal(after[: -len(before)], small.get_input_embeddings().weight)
    assert torch.equal(after[-len(before) :], before)
    assert torch.equal(grown.lm_head.weight, after)
    others = dict(small.model.visual.named_parameters())
    assert all(torch.equal(p, others[name]) for name, p in grown.model.visual.named_parameters())


def test_numbers_weigh_more_where_the_stage_says_so_and_rates_stay_where_it_does_not_settle():
    weights = weights_of_words(SECOND, SEEING)
    ids = token_ids(SECOND.words)
    assert weights is not None and weights.shape == (TOKENS,)
    assert weights[ids["7"]] == weights[ids["180"]] == SEEING.number_weight > 1
    assert weights[ids["red"]] == weights[ids["<eos>"]] == 1
    assert weights_of_words(SECOND, HABITS) is None
    assert [schedule(step, 200, settles=False) for step in (49, 100, 199)] == [1.0] * 3


def test_seeing_is_taught_where_nothing_can_be_guessed_and_habits_where_it_can():
    def usual(world):
        found = Examples(world, "train", "any", 400)[:]
        return sum(e.puzzle.answer == e.puzzle.usual_answer for e in found) / 400

    assert usual(SEEING.world) < 0.1
    assert 0.27 < usual(HABITS.world) < 0.43


def test_a_guess_tells_usual_values_in_the_same_words_and_does_not_follow_the_image():
    found = Examples(HABITS.world, "train", "guesses", 40)[:]
    plan = replace(HABITS.plan, captions=0.0, guesses=1.0, blacked=0.0)
    for lesson, example in zip(draw_lessons(Random(0), found, plan, retold_from_habit), found, strict=True):
        assert lesson.response.endswith(f"\\boxed{{ {example.puzzle.usual_answer} }}")
        assert lesson.image == example.image and lesson.question == example.question
        assert set(lesson.response.split()) <= set(SECOND.words)
    with pytest.raises(TypeError, match="Shapes-2"):
        retold_from_habit(Random(0), ShapesTask().examples("train", 1)[0])


def test_the_verb_builds_the_second_level_and_refuses_others(tmp_path, capsys):
    build = ["world", "build", "--output_dir", str(tmp_path / "world"), "--steps", "3", "--limit", "2"]
    assert main([*build, "--level", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    card = (tmp_path / "world" / CARD).read_text()
    assert result["sha256"] in card and "--level 2" in card and "model of level 1" in card
    built = load_model(str(tmp_path / "world"))
    assert built.model.config.text_config.vocab_size == TOKENS
    assert main([*build, "--level", "3"]) == 2
    assert "levels 1, 2" in capsys.readouterr().err


def test_a_model_is_measured_in_its_world(capsys):
    measure = ["world", "measure", "embedded", "--limit", "6", "--split", "dev", "--json"]
    assert main(measure) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(measure) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert set(first["accuracy"]) == {"greedy", "sampled", "blind"}
    assert first["prior"] is None
    for part in ("tokens", "kl"):
        assert sum(role[part] for role in first["roles"].values()) == pytest.approx(1)
    loaded = load_model("embedded", dtype="float32")
    again = measure_world(loaded, load_task("shapes"), "dev", 6, 0, 160)
    assert asdict(again)["accuracy"] == first["accuracy"]
    with pytest.raises(UserError, match="at least one problem"):
        measure_world(loaded, load_task("shapes"), "dev", 0, 0, 160)


@shipped
def test_the_card_names_the_shipped_weights_and_the_folder_is_small():
    files = list(SECOND.checkpoint.iterdir())
    assert sha256_of(SECOND.checkpoint / WEIGHTS) in (SECOND.checkpoint / CARD).read_text()
    assert sum(file.stat().st_size for file in files) <= 16_000_000
    assert not [file for file in files if file.suffix in (".bin", ".pt", ".pth", ".pkl", ".py")]


@shipped
def test_the_word_loads_it_with_the_words_of_its_world():
    loaded = load_model("embedded-2")
    tokenizer = load_processor(SECOND.checkpoint).tokenizer
    assert [tokenizer.convert_tokens_to_ids(word) for word in SECOND.words] == [
        token_ids(SECOND.words)[word] for word in SECOND.words
    ]
    assert loaded.model.config.text_config.vocab_size == TOKENS
    assert sum(p.numel() for p in loaded.model.parameters()) < 2e6
    assert loaded.model.dtype == torch.bfloat16
    assert AutoModelForImageTextToText.from_pretrained(SECOND.checkpoint).config.model_type == "qwen3_vl"


@shipped
def test_the_shipped_model_guesses_can_see_and_has_room_to_learn():
    loaded = load_model("embedded-2", dtype="float32")
    found = measure_world(loaded, SECOND.task, "test", 160, 7, SECOND.longest_response)
    assert 0.25 < found.accuracy["greedy"] < 0.55
    assert 0.22 < found.accuracy["blind"] < 0.48
    assert found.misread > 0.6
    assert found.roles["read"].mean_kl > 5 * found.roles["template"].mean_kl
    assert 55 < found.length < 110


def test_the_grader_reads_what_the_world_writes():
    example = SECOND.task.examples("test", 1)[0]
    assert grade(example.response_text, str(example.answer)).correct
    assert not grade(example.response_text, str(example.answer + 1)).correct
