"""The shipped checkpoint loads with transformers' own classes and reads what the world draws."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from sightline.models.embedded.accuracies import accuracies, black_images
from sightline.models.embedded.architecture import config, fresh_model
from sightline.models.embedded.build import CARD, WEIGHTS, sha256_of
from sightline.models.embedded.lessons import Lesson
from sightline.models.embedded.level import LEVELS
from sightline.models.embedded.processor import (
    EOS,
    NEVER_SAMPLED,
    PAD,
    SPECIAL_TOKENS,
    load_processor,
    processor,
    token_ids,
    tokenizer,
)
from sightline.models.embedded.warm_start import IGNORED, encode_lessons
from sightline.tasks.shapes import SHAPES, Examples, ShapesTask
from sightline.tasks.shapes.vocabulary import WORDS

FIRST = LEVELS[1]
FOLDER = FIRST.checkpoint
TOKEN_IDS = token_ids(WORDS)
EXAMPLES = Examples(SHAPES, "test", "0", 24)[:]


@pytest.fixture(scope="module")
def model():
    return AutoModelForImageTextToText.from_pretrained(FOLDER, dtype=torch.float32).eval()


def inputs_of(words_and_images, problems):
    texts = [
        words_and_images.apply_chat_template(ShapesTask().messages(p), add_generation_prompt=True)
        for p in problems
    ]
    images = [list(p.images) for p in problems]
    return words_and_images(images=images, text=texts, padding=True, return_tensors="pt")


def test_the_card_names_the_shipped_weights_and_the_folder_is_small():
    assert sha256_of(FOLDER / WEIGHTS) in (FOLDER / CARD).read_text()
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 4_000_000
    assert not [file for file in FOLDER.iterdir() if file.suffix in (".bin", ".pt", ".pth", ".pkl", ".py")]


def test_the_architecture_is_the_one_described(model):
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(0.96e6, rel=0.01)
    assert sum(p.numel() for p in model.model.visual.parameters()) == pytest.approx(0.60e6, rel=0.01)
    for part in ("text_config", "vision_config"):
        ours, saved = getattr(config(len(TOKEN_IDS)), part).to_dict(), getattr(model.config, part).to_dict()
        assert {key: saved[key] for key in ours if key != "dtype"} == {
            key: value for key, value in ours.items() if key != "dtype"
        }


def test_auto_classes_load_the_folder_where_torchvision_is_absent():
    script = f"""
import sys
sys.modules["torchvision"] = None  # importing it now raises, whatever is installed
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
folder = {str(FOLDER)!r}
model = AutoModelForImageTextToText.from_pretrained(folder)
tokenizer, images = AutoTokenizer.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder)
from sightline.models.embedded.processor import load_processor
together = load_processor(folder)
print(type(model).__name__, str(model.dtype), len(tokenizer), tokenizer.padding_side, images.patch_size,
      type(together).__name__)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = f"Qwen3VLForConditionalGeneration torch.bfloat16 {len(TOKEN_IDS)} left 8 PaddleOCRVLProcessor"
    assert done.stdout.split() == expected.split()


def test_saved_processors_give_what_the_fresh_one_gives():
    problems = ShapesTask().test(6, 1)[:]
    expected = inputs_of(processor(WORDS), problems)
    for loaded in (load_processor(FOLDER), AutoProcessor.from_pretrained(FOLDER)):
        got = inputs_of(loaded, problems)
        assert set(got) == set(expected)
        for name in expected:
            assert torch.equal(got[name], expected[name]), name


def test_the_auto_parts_give_the_same_ids_and_pixels():
    problem = ShapesTask().test(1, 1)[0]
    expected = inputs_of(processor(WORDS), [problem])
    text = AutoTokenizer.from_pretrained(FOLDER)(problem.question)["input_ids"]
    assert expected["input_ids"][0, 18:-1].tolist() == text
    pixels = AutoImageProcessor.from_pretrained(FOLDER)(list(problem.images), return_tensors="pt")
    torch.testing.assert_close(pixels["pixel_values"], expected["pixel_values"], rtol=0, atol=1e-5)


def test_the_warm_start_was_taught_on_the_ids_and_pixels_of_a_whole_conversation():
    words_and_images = processor(WORDS)
    lessons = [Lesson(e.image, e.question, e.response_text, e.cells) for e in EXAMPLES[:6]]
    inputs, labels = encode_lessons(words_and_images, lessons)
    for row, lesson in enumerate(lessons):
        conversation = [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": lesson.question}]},
            {"role": "assistant", "content": [{"type": "text", "text": lesson.response}]},
        ]
        text = words_and_images.apply_chat_template(conversation)
        whole = words_and_images(images=[lesson.image], text=[text], return_tensors="pt")
        kept = inputs["attention_mask"][row].bool()
        assert torch.equal(inputs["input_ids"][row][kept], whole["input_ids"][0])
        assert torch.equal(inputs["mm_token_type_ids"][row][kept], whole["mm_token_type_ids"][0])
        assert torch.equal(inputs["pixel_values"].view(6, 64, -1)[row], whole["pixel_values"])
        taught = labels[row][labels[row] != IGNORED].tolist()
        assert words_and_images.tokenizer.decode(taught) == f"{lesson.response} {EOS}"


def test_words_round_trip_and_none_is_unknown():
    words = tokenizer(WORDS)
    for example in EXAMPLES:
        for text in (example.question, example.response_text, example.caption or ""):
            ids = words(text)["input_ids"]
            assert len(ids) == len(text.split())
            assert words.unk_token_id not in ids
            assert words.decode(ids) == text
    assert [words.convert_tokens_to_ids(token) for token in (*SPECIAL_TOKENS, *WORDS)] == list(
        range(len(words))
    )
    assert words("how many red circle?")["input_ids"] == words("how many red circle ?")["input_ids"]
    assert words("zebra")["input_ids"] == [words.unk_token_id]


def test_prompts_pad_left_and_hold_sixteen_image_tokens():
    words_and_images = processor(WORDS)
    inputs = inputs_of(words_and_images, ShapesTask().test(8, 2)[:])
    assert (inputs["input_ids"] == TOKEN_IDS["<image>"]).sum(dim=1).tolist() == [16] * 8
    assert inputs["attention_mask"][:, -1].all()
    assert inputs["attention_mask"].min() == 0
    assert ((inputs["input_ids"] == TOKEN_IDS[PAD]) == (inputs["attention_mask"] == 0)).all()


def test_what_must_never_be_sampled_is_not_even_by_an_untrained_model():
    model, words_and_images = (
        fresh_model(0, len(TOKEN_IDS), FIRST.longest_response).eval(),
        processor(WORDS),
    )
    assert model.generation_config.suppress_tokens == NEVER_SAMPLED
    assert {TOKEN_IDS[token] for token in SPECIAL_TOKENS} - set(NEVER_SAMPLED) == {TOKEN_IDS[EOS]}
    inputs = inputs_of(words_and_images, ShapesTask().test(32, 3)[:])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ids = model.generate(**inputs, do_sample=True, top_k=0)[:, inputs["input_ids"].shape[1] :]
    sampled = set(ids.flatten().tolist()) - {TOKEN_IDS[PAD]}  # rows that have ended are padded
    assert len(sampled) > 100
    assert not sampled & set(NEVER_SAMPLED)


def test_the_shipped_model_can_see_and_has_room_to_learn(model):
    measured = accuracies(
        model, load_processor(FOLDER), FIRST.task, FIRST.task.test(256, 7), FIRST.longest_response
    )
    assert 0.25 < measured["greedy"] < 0.5
    assert 0.2 < measured["sampled"] < 0.4
    assert 0.05 < measured["blind"] < 0.2


def test_black_images_keep_the_size_and_lose_the_content():
    problem = ShapesTask().test(1, 0)[0]
    (black,) = black_images(problem)
    assert black.size == problem.images[0].size
    assert black.getextrema() == ((0, 0),) * 3


def test_accuracies_need_a_problem(model):
    with pytest.raises(ValueError, match="at least one problem"):
        accuracies(model, processor(WORDS), FIRST.task, [], FIRST.longest_response)
