"""Inspecting the embedded model: the numbers of the page are those of the model and of the methods."""

import json

import numpy as np
import pytest
import torch
from parsed_page import Page
from PIL import Image

from sightline.cli import main
from sightline.errors import UserError
from sightline.evaluation.run.answer_and_grade import answer
from sightline.evaluation.tokens.inspection import InspectOptions, Subject, given_answer, inspection
from sightline.evaluation.tokens.occlusion_maps import covered
from sightline.evaluation.tokens.page_images import SIDES, data_addresses
from sightline.evaluation.tokens.scored_samples import as_rollouts
from sightline.evaluation.tokens.top_tokens import attention_shares, likeliest, occlusion
from sightline.methods import Needs, method
from sightline.models.generation.generate import Decoding, Prompt
from sightline.models.loading import load_model
from sightline.models.scoring.score import score
from sightline.signals import exact_kl
from sightline.tasks import ShapesTask
from sightline.views import view

pytestmark = pytest.mark.slow
VIEWS = ("black", "patches", "text_only")


@pytest.fixture(scope="module")
def loaded():
    return load_model("embedded", "float32")


@pytest.fixture(scope="module")
def subjects(loaded):
    task = ShapesTask()
    problems = [problem for problem in task.test(3, 0) for _ in range(2)]
    found = answer(loaded, task, problems, Decoding(40, temperature=1.0, seed=1))
    return [
        Subject(p, a, v.correct)
        for p, a, v in zip(found.problems, found.answers, found.verdicts, strict=True)
    ]


@pytest.fixture(scope="module")
def rollouts(loaded, subjects):
    return as_rollouts(
        [subject.answer for subject in subjects],
        [subject.problem.images for subject in subjects],
        loaded.processor.tokenizer.pad_token_id,
        [subject.problem.id for subject in subjects],
    )


@pytest.fixture(scope="module")
def found(loaded, subjects):
    wanted = InspectOptions(
        tuple(view(name) for name in VIEWS),
        tuple(method(name) for name in ("vgpo", "vppo", "pgpo")),
        occlusion=2,
        attention=True,
    )
    return inspection(loaded, subjects, wanted)


def rows(found):
    return [told for sample in found["samples"] for told in sample["answers"]]


def test_answers_of_one_problem_stand_together(found, subjects):
    assert [len(sample["answers"]) for sample in found["samples"]] == [2, 2, 2]
    assert [told["text"] for told in rows(found)] == [subject.answer.text for subject in subjects]
    for sample in found["samples"]:
        assert len(sample["images"]) == len(sample["views"]["patches"]) == 1
        assert "text_only" not in sample["views"]


def test_likeliest_tokens_are_those_of_the_whole_distribution(loaded, rollouts):
    everything = loaded.model.get_output_embeddings().weight.shape[0]
    seen = likeliest(loaded.model, loaded.processor, rollouts, rollouts.images, count=everything)
    valid = rollouts.mask.bool()
    assert torch.allclose(seen.probabilities.sum(-1)[valid], torch.ones(int(valid.sum())), atol=1e-5)
    assert (seen.probabilities.sum(-1)[~valid] == 0).all()
    chosen = (seen.tokens == rollouts.response_ids[..., None]).float().argmax(-1, keepdim=True)
    own = seen.probabilities.gather(-1, chosen).squeeze(-1).log()
    assert torch.allclose(own[valid], seen.log_probs[valid], atol=1e-4)


@pytest.mark.parametrize("name", VIEWS)
def test_the_likeliest_without_the_image_are_those_whose_kl_was_scored(loaded, rollouts, name):
    """KL of the shown distributions is the scoring pass's own, so the images shown are the ones it drew."""
    shown = view(name)
    scored = score(
        loaded.model, loaded.processor, rollouts, Needs(frozenset({"exact_kl"}), shown, False), seed=0, step=0
    )
    words = loaded.model.get_output_embeddings().weight.shape[0]
    images = rollouts.images
    if name != "text_only":
        from sightline.models.draw_views import draw_view

        images = draw_view(shown, rollouts.images, rollouts.sample_ids, loaded.processor, seed=0, step=0)
    seen = likeliest(loaded.model, loaded.processor, rollouts, rollouts.images, count=words)
    blind = likeliest(
        loaded.model, loaded.processor, rollouts, images, hide_images=name == "text_only", count=words
    )
    spread = [
        torch.zeros_like(one.probabilities).scatter(-1, one.tokens, one.probabilities).clamp(min=1e-30).log()
        for one in (seen, blind)
    ]
    valid = rollouts.mask.bool()
    expected = exact_kl(*spread)[valid]
    assert torch.allclose(scored.signals["exact_kl"][valid], expected, atol=1e-4, rtol=1e-3)


def test_the_data_holds_these_scores(found, loaded, rollouts):
    needs = Needs(frozenset({"exact_kl", "visual_focus"}), view("black"), False)
    black = score(loaded.model, loaded.processor, rollouts, needs, seed=0, step=0).signals
    for row, told in enumerate(rows(found)):
        count = len(told["tokens"])
        for name, key in (("exact_kl", "exact_kl/black"), ("visual_focus", "visual_focus")):
            assert told["scores"][key] == pytest.approx(black[name][row, :count].tolist(), rel=1e-3, abs=1e-5)


def test_weights_are_what_the_methods_make_of_a_batch_of_these_answers(found, rollouts):
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    width = rollouts.mask.shape[1]
    for name, key in (
        ("vgpo", "visual_focus"),
        ("vppo", "exact_kl/patches"),
        ("pgpo", "sampled_k3/text_only"),
    ):
        scores = torch.tensor(
            [told["scores"][key] + [0.0] * (width - len(told["tokens"])) for told in rows(found)]
        )
        expected = method(name).weights(scores, rollouts.mask, groups)
        for row, told in enumerate(rows(found)):
            assert told["weights"][name] == pytest.approx(
                expected[row, : len(told["tokens"])].tolist(), rel=1e-3, abs=1e-5
            )


def test_alternatives_name_tokens_by_their_place(found, subjects, loaded):
    for told, subject in zip(rows(found), subjects, strict=True):
        for view_name in ("image", *VIEWS):
            assert len(told["likeliest"][view_name]) == len(subject.answer.token_ids)
        places, shares = told["likeliest"]["image"][0][::2], told["likeliest"]["image"][0][1::2]
        assert shares == sorted(shares, reverse=True)
        assert all(0 <= place < len(found["vocabulary"]) for place in places)


def test_maps_hide_each_cell_once_and_name_the_highest_tokens(found):
    for told in rows(found):
        kl = told["scores"]["exact_kl/black"]
        chosen = {shown["token"] for shown in told["occlusion"]}
        assert (
            sorted(chosen, key=lambda token: -kl[token]) == sorted(range(len(kl)), key=lambda t: -kl[t])[:2]
        )
        for shown in told["occlusion"]:
            assert (shown["rows"], shown["columns"], len(shown["values"])) == (4, 4, 16)  # 16 image tokens
            assert min(shown["values"]) >= 0


def test_tokens_in_several_passes_have_the_maps_of_one(loaded, rollouts, monkeypatch):
    tokens, image = [0, 3, 1, 2], rollouts.images[0][0]
    hidden = [[Image.new("RGB", image.size)], [Image.new("RGB", image.size, "red")]]
    once = occlusion(loaded.model, loaded.processor, rollouts, 0, tokens, hidden)
    words = loaded.model.get_output_embeddings().weight.shape[0]
    monkeypatch.setattr("sightline.evaluation.tokens.top_tokens._LOGITS_AT_ONCE", 3 * words)
    assert torch.allclose(
        occlusion(loaded.model, loaded.processor, rollouts, 0, tokens, hidden), once, atol=1e-5
    )


def test_hiding_nothing_changes_nothing_and_hiding_all_is_the_view(loaded, rollouts):
    tokens = [1, 2, 3]
    image = rollouts.images[0][0]
    kl = occlusion(
        loaded.model, loaded.processor, rollouts, 0, tokens, [[image], [Image.new("RGB", image.size)]]
    )
    black = score(
        loaded.model,
        loaded.processor,
        rollouts,
        Needs(frozenset({"exact_kl"}), view("black"), False),
        seed=0,
        step=0,
    ).signals["exact_kl"][0]
    assert kl[0].tolist() == pytest.approx([0.0] * 3, abs=1e-6)
    assert kl[1].tolist() == pytest.approx([black[token].item() for token in tokens], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(("size", "grid"), [((64, 64), (4, 4)), ((640, 320), (4, 8)), ((50, 700), (8, 1))])
def test_cells_are_whole_image_tokens_and_cover_the_image_once(size, grid):
    image = Image.effect_noise(size, 60).convert("RGB")
    shape, images = covered(image, 16, 8)
    assert shape == grid
    hidden = [np.asarray(one) != np.asarray(image) for one in images]
    assert len(hidden) == grid[0] * grid[1]
    assert sum(one.any(-1).astype(int) for one in hidden).max() == 1
    assert np.mean(sum(one.any(-1).astype(int) for one in hidden)) > 0.95


def test_attention_is_shared_out_and_the_model_is_left_as_it_was(found, loaded, rollouts):
    before = loaded.model.config._attn_implementation
    shares = attention_shares(loaded.model, loaded.processor, rollouts, 0)
    assert loaded.model.config._attn_implementation == before
    assert torch.allclose(shares.sum(0), torch.ones(shares.shape[1]), atol=1e-4)
    assert (shares >= 0).all() and shares[0].min() > 0
    assert shares[2, 0] == 0  # the position that predicts the first token is still in the prompt
    for told in rows(found):
        assert set(told["attention"]) == {"image", "question", "answer"}


def test_a_given_answer_is_scored_as_if_the_model_had_said_it(loaded, subjects):
    problem, task = subjects[0].problem, ShapesTask()
    prompt = Prompt(task.messages(problem), problem.images)
    told = given_answer(loaded, prompt, subjects[0].answer.text)
    assert told.prompt_ids == subjects[0].answer.prompt_ids
    if not subjects[0].answer.truncated:
        assert told.token_ids == subjects[0].answer.token_ids


def test_an_answer_that_spells_an_image_is_refused(loaded, subjects):
    problem = subjects[0].problem
    prompt = Prompt(ShapesTask().messages(problem), problem.images)
    with pytest.raises(UserError, match="'<image>', which stands for an image"):
        given_answer(loaded, prompt, "i see <image> 3")


def test_images_of_a_page_stay_within_their_bytes():
    noise = torch.randint(0, 256, (900, 700, 3), dtype=torch.uint8).numpy()
    large = [Image.fromarray(noise)] * 3
    for most in (60_000, 300_000, 3_000_000):
        addresses = data_addresses(large, most)
        assert all(len(address) <= most / 3 for address in addresses)
    assert all(address.startswith("data:image/jpeg;base64,") for address in addresses)
    (small,) = data_addresses([Image.new("RGBA", (64, 64))], 1)
    assert small.startswith("data:image/png;base64,")
    assert max(SIDES) == SIDES[0]


# --- the command -----------------------------------------------------------------------------------


def test_the_command_writes_data_and_page_and_prints_the_same_data(tmp_path, capsys):
    folder = tmp_path / "seen"
    flags = ["--limit", "2", "--views", "grey", "--methods", "vppo", "--max_new_tokens", "40", "--json"]
    assert main(["inspect", "embedded", *flags, "--output_dir", str(folder)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "inspect.json").read_text())
    assert printed["schema"] == "sightline.inspect/1"
    assert [score["name"] for score in printed["scores"]] == ["exact_kl/grey", "visual_focus", "entropy"]
    assert "vppo" in printed["samples"][0]["answers"][0]["weights"]
    assert printed["about"]["versions"]["torch"]
    assert "<h1>What embedded sees</h1>" in (folder / "inspect.html").read_text()


def test_one_image_with_an_answer_of_ones_own(tmp_path, capsys):
    Image.new("L", (90, 90), 200).save(tmp_path / "x.png")
    folder = tmp_path / "seen"
    told = ["--question", "how many red circle ?", "--answer", "<think> i see 3 </think> \\boxed{ 3 }"]
    flags = ["--image", str(tmp_path / "x.png"), "--occlusion", "all", "--output_dir", str(folder)]
    assert main(["inspect", "embedded", *told, *flags]) == 0
    (sample,) = json.loads((folder / "inspect.json").read_text())["samples"]
    (told,) = sample["answers"]
    assert told["correct"] is None
    assert told["tokens"][:3] == ["<think>", "i", "see"]
    assert sorted(one["token"] for one in told["occlusion"]) == list(range(len(told["tokens"])))


def test_hostile_names_and_words_of_ones_own_are_text(tmp_path, capsys):
    attack = "</script><img src=x onerror=alert(1)>"
    image = tmp_path / "<img src=x onerror=alert(1)>.png"
    Image.new("RGB", (64, 64), "red").save(image)
    told = ["--image", str(image), "--question", attack, "--answer", attack + " \\boxed{ 3 }"]
    assert main(["inspect", "embedded", *told, "--output_dir", str(tmp_path / "out")]) == 0
    page = Page((tmp_path / "out" / "inspect.html").read_text())
    assert page.all("p", class_="question")[0][1] == attack
    assert len(page.all("script")) == 2
    assert not [tag for tag, attrs, _ in page.elements if "onerror" in attrs]
    assert "that the tokenizer does not know" in page.all("section", class_="notes")[0][1]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--image", "nowhere.png", "--question", "what ?"], "cannot read --image nowhere.png"),
        (["--image", "x.png"], "one image takes --image and --question"),
        (["--question", "what ?", "--task", "shapes"], "is about one image"),
        (["--views", "blakc"], "did you mean black"),
        (["--views", ","], "names no view"),
        (["--methods", "grpo"], "unknown method with weights 'grpo'"),
        (["--occlusion", "-1"], "expected at least 1, got -1"),
        (["--device", "nowhere"], "--device nowhere cannot be used"),
        (["--temperature", "hot"], "expected a number of at least 0"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_no_folder(tmp_path, capsys, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "embedded", *flags]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
