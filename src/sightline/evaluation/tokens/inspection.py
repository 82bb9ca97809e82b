"""Answers token by token: how much each depends on the image, and the weight every method gives it.

`inspection` returns plain data, the content of `inspect.json`; docs/seeing.md describes its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ...errors import UserError
from ...methods import Method, Needs
from ...models.draw_views import viewed_images
from ...models.families import placeholder_ids
from ...models.generation.generate import Answer, Prompt
from ...models.loading import LoadedModel
from ...models.scoring.score import score
from ...rollouts import Rollouts
from ...signals import signal
from ...tasks.problem import Problem
from ...views import PixelView, View, rgb
from .occlusion_maps import occlusion_maps
from .page_images import data_addresses
from .scored_samples import as_rollouts
from .token_texts import TokenTexts, plain, short
from .top_tokens import TopTokens, attention_shares, likeliest

SCHEMA = "sightline.inspect/1"
PAGE_BYTES, TOKEN_BYTES = 13_000_000, 170
"""How large a page may become, and what a token takes of it; images get what is left."""
FEWEST_BYTES, MOST_BYTES = 2_000_000, 6_000_000
"""For the images of a page together; views take a third."""


@dataclass(frozen=True)
class Subject:
    """One answer to one problem; `correct` is None if nothing is known to grade it by."""

    problem: Problem
    answer: Answer
    correct: bool | None


@dataclass(frozen=True)
class InspectOptions:
    """What is measured of every answer."""

    views: tuple[View, ...]
    """The image taken away in these manners, each with its exact KL; the first ranks the tokens."""
    methods: tuple[Method, ...]
    """Whose weights are shown, each on the signal and view of its own."""
    occlusion: int | None = 0
    """Tokens per answer that get a map, those of highest KL under the first view; None: all of them."""
    cells: int = 8
    """Cells of a map along the image's longer side, at most."""
    attention: bool = False
    seed: int = 0
    signals: tuple[str, ...] = ()
    """Further signals that are shown, those that compare views under the first one."""


def given_answer(loaded: LoadedModel, prompt: Prompt, text: str) -> Answer:
    """`text` as if the model had written it: its tokens and an end of sequence.

    Raises:
        UserError: `text` spells a placeholder of an image, which no answer may hold.
    """
    processor: Any = loaded.processor
    asked = processor.apply_chat_template(list(prompt.messages), add_generation_prompt=True, tokenize=False)
    images = list(prompt.images)
    inputs = processor(
        text=[asked], images=[images] if images else None, return_tensors="pt", add_special_tokens=False
    )
    tokens = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    if held := set(tokens) & set(placeholder_ids(loaded.model.config)):
        word = processor.tokenizer.decode([min(held)])
        raise UserError(f"the answer holds {word!r}, which stands for an image; leave it out")
    end = processor.tokenizer.eos_token_id
    return Answer(inputs["input_ids"][0].tolist(), [*tokens, end], text, truncated=False)


def inspection(
    loaded: LoadedModel,
    subjects: Sequence[Subject],
    wanted: InspectOptions,
    progress: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """Every subject's tokens with scores, weights, alternatives and, if wanted, maps, as plain data.

    Subjects of one problem are one group. Scores are taken at temperature 1. Weights are those of a
    training batch that holds exactly these answers.
    """
    rollouts = _rollouts(loaded, subjects)
    progress("scores")
    measured, notes = _scores(loaded, rollouts, wanted)
    weights = {method.name: _weights(method, measured, rollouts) for method in wanted.methods}
    progress("likeliest tokens")
    shown = {view.name: _shown(loaded, rollouts, view, wanted.seed) for view in wanted.views}
    seen = _likeliest(loaded, rollouts, wanted, shown)
    names = [(signal, view) for signal, view in measured if view is None or view in wanted.views]
    words = TokenTexts(loaded.processor.tokenizer)
    notes += _unknown(loaded, subjects) + [_assumed(one) for one in wanted.methods if one.reads]
    rows = []
    for row, subject in enumerate(subjects):
        part = slice(0, len(subject.answer.token_ids))
        rows.append({
            "text": subject.answer.text,
            "correct": subject.correct,
            "truncated": subject.answer.truncated,
            "tokens": [words.text(token) for token in subject.answer.token_ids],
            "token_ids": subject.answer.token_ids,
            "scores": {_label(*name): plain(measured[name][row, part]) for name in names},
            "weights": {name: plain(values[row, part]) for name, values in weights.items()},
            "likeliest": {key: words.alternatives(found, row, part) for key, found in seen.items()},
            "log_probs": {key: plain(found.log_probs[row, part]) for key, found in seen.items()},
        })  # fmt: skip
    if wanted.occlusion != 0:
        progress("occlusion maps")
        ranked = measured["exact_kl", wanted.views[0]]
        for row, told in enumerate(rows):
            told["occlusion"] = _maps(loaded, rollouts, row, ranked[row], wanted)
    if wanted.attention:
        progress("attention")
        for row, told in enumerate(rows):
            told["attention"] = _attention(loaded, rollouts, row)
        if not any(told["attention"] for told in rows):
            notes.append("The model hands out no attention, so its shares are not recorded.")
    pixels = {view.name: shown[view.name] for view in wanted.views if isinstance(view, PixelView)}
    return {
        "schema": SCHEMA,
        "notes": notes,
        "scores": [_described(*name) for name in names],
        "views": [view.plain() for view in wanted.views],
        "methods": [_method(method) for method in wanted.methods],
        "vocabulary": words.vocabulary,
        "samples": _samples(subjects, rows, pixels, rollouts.group_ids.tolist()),
    }


# --- scores and weights ----------------------------------------------------------------------------

Name = tuple[str, View | None]
"""A signal, and the view it compares with where it compares."""


def _rollouts(loaded: LoadedModel, subjects: Sequence[Subject]) -> Rollouts:
    groups: dict[str, int] = {}
    ids = [groups.setdefault(subject.problem.id, len(groups)) for subject in subjects]
    tokenizer: Any = loaded.processor.tokenizer  # pyright: ignore[reportAttributeAccessIssue]
    batch = as_rollouts(
        [subject.answer for subject in subjects],
        [[rgb(image) for image in subject.problem.images] for subject in subjects],
        tokenizer.pad_token_id,
        [subject.problem.id for subject in subjects],
    )
    tensors = ("prompt_ids", "prompt_mask", "response_ids", "mask")
    device = loaded.model.device
    moved = {name: getattr(batch, name).to(device) for name in tensors}
    return replace(batch, **moved, group_ids=torch.tensor(ids, device=device))


def _scores(
    loaded: LoadedModel, rollouts: Rollouts, wanted: InspectOptions
) -> tuple[dict[Name, Tensor], list[str]]:
    """Every signal that is shown or read by a method, one pass per view; and what could not be scored."""
    passes: dict[View | None, dict[str, None]] = {view: {"exact_kl": None} for view in wanted.views}
    for method in wanted.methods:
        passes.setdefault(method.view, {}).update(dict.fromkeys(method.signals))
    alone = {"visual_focus": None, "entropy": None, **passes.pop(None, {})}
    first = wanted.views[0]
    asked = {name: signal(name).compares_views for name in wanted.signals}
    alone |= dict.fromkeys(name for name, compares in asked.items() if not compares)
    passes[first] |= dict.fromkeys(name for name, compares in asked.items() if compares)
    passes[first] = {**alone, **passes[first]}
    found: dict[Name, Tensor] = {}
    skipped: dict[int, str] = {}
    for view, signals in passes.items():
        needs = Needs(frozenset(signals), view, second_view_gradient=False)
        scores = score(loaded.model, loaded.processor, rollouts, needs, seed=wanted.seed, step=0)
        found |= {(name, None if name in alone else view): scores.signals[name] for name in signals}
        skipped |= scores.skipped
    order = {name: place for place, name in enumerate(("exact_kl", "visual_focus"))}
    notes = [
        f"Answer {row + 1} could not be scored, all its numbers are 0: {why}." for row, why in skipped.items()
    ]
    return dict(sorted(found.items(), key=lambda item: order.get(item[0][0], len(order)))), notes


def _unknown(loaded: LoadedModel, subjects: Sequence[Subject]) -> list[str]:
    """Which answers hold tokens that stand for text the tokenizer does not know."""
    tokenizer: Any = loaded.processor.tokenizer  # pyright: ignore[reportAttributeAccessIssue]
    if tokenizer.unk_token_id in (None, tokenizer.eos_token_id, tokenizer.pad_token_id):
        return []
    counts = [subject.answer.token_ids.count(tokenizer.unk_token_id) for subject in subjects]
    return [
        f"Answer {row} holds text that the tokenizer does not know; the model saw {count} "
        f"{tokenizer.unk_token} instead."
        for row, count in enumerate(counts, start=1)
        if count
    ]


def _weights(method: Method, measured: dict[Name, Tensor], rollouts: Rollouts) -> Tensor:
    scores = {
        name: measured[(name, None)] if (name, None) in measured else measured[(name, method.view)]
        for name in method.signals
    }
    rows = len(rollouts)
    known: dict[str, Any] = {"advantages": [1.0] * rows, "noisy": [True] * rows, "progress": 1.0}
    context = {name: known[name] for name in method.reads}
    return method.weights(scores, rollouts.mask, rollouts.group_ids, rollouts.has_image, **context)


def _assumed(method: Method) -> str:
    """What a page takes for facts that only a training has."""
    taken = {"advantages": "an advantage of 1", "noisy": "a noisy rollout", "progress": "the end of training"}
    return f"Weights of {method.name} are those for {' and '.join(taken[n] for n in sorted(method.reads))}."


def _label(signal: str, view: View | None) -> str:
    return signal if view is None else f"{signal}/{view.name}"


def _described(signal: str, view: View | None) -> dict[str, Any]:
    return {"name": _label(signal, view), "signal": signal, "view": None if view is None else view.name}


def _method(method: Method) -> dict[str, Any]:
    view = None if method.view is None else method.view.name
    return {"name": method.name, "signals": list(method.signals), "view": view, "options": method.options}


# --- what would have been said ---------------------------------------------------------------------


def _shown(loaded: LoadedModel, rollouts: Rollouts, view: View, seed: int) -> list[list[Image.Image]]:
    """The images of every row as the scoring pass saw them under `view`; its own where they are kept."""
    if not isinstance(view, PixelView):
        return [list(images) for images in rollouts.images]
    return viewed_images(view, rollouts, loaded.processor, seed=seed, step=0)


def _likeliest(
    loaded: LoadedModel, rollouts: Rollouts, wanted: InspectOptions, shown: dict[str, list[list[Image.Image]]]
) -> dict[str, TopTokens]:
    """ "image" and each view's name -> the likeliest tokens there."""
    found = {"image": likeliest(loaded.model, loaded.processor, rollouts, rollouts.images)}
    for view in wanted.views:
        hide = not isinstance(view, PixelView)
        found[view.name] = likeliest(
            loaded.model, loaded.processor, rollouts, shown[view.name], hide_images=hide
        )
    return found


def _maps(
    loaded: LoadedModel, rollouts: Rollouts, row: int, ranked: Tensor, wanted: InspectOptions
) -> list[dict[str, Any]]:
    length = int(rollouts.mask[row].sum())
    count = length if wanted.occlusion is None else min(wanted.occlusion, length)
    tokens = ranked[:length].topk(count).indices.tolist()
    maps = occlusion_maps(loaded, rollouts, row, tokens, wanted.cells)
    return [{**shown, "values": [short(value, 6) for value in shown["values"]]} for shown in maps]


def _attention(loaded: LoadedModel, rollouts: Rollouts, row: int) -> dict[str, list[float]] | None:
    shares = attention_shares(loaded.model, loaded.processor, rollouts, row)
    if shares is None:
        return None
    return {name: plain(values) for name, values in zip(("image", "question", "answer"), shares, strict=True)}


def image_bytes(tokens: int) -> int:
    """What the images of a page with so many tokens may take together."""
    return min(max(PAGE_BYTES - TOKEN_BYTES * tokens, FEWEST_BYTES), MOST_BYTES)


# --- plain data ------------------------------------------------------------------------------------


def _samples(
    subjects: Sequence[Subject],
    rows: Sequence[dict[str, Any]],
    shown: dict[str, list[list[Image.Image]]],
    groups: Sequence[int],
) -> list[dict[str, Any]]:
    """One entry per problem, in order, with its answers; views as the scores of its first answer saw them."""
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    first = [answers[0] for answers in members.values()]
    third = image_bytes(sum(len(subject.answer.token_ids) for subject in subjects)) // 3
    own = _addresses([subjects[row].problem.images for row in first], 2 * third)
    views = {
        name: _addresses([images[row] for row in first], third // len(shown))
        for name, images in shown.items()
    }
    samples = []
    for place, answers in enumerate(members.values()):
        problem = subjects[answers[0]].problem
        samples.append({
            "id": problem.id,
            "kind": problem.kind,
            "question": problem.question,
            "answer": problem.answer,
            "images": own[place],
            "views": {name: addresses[place] for name, addresses in views.items()},
            "answers": [rows[row] for row in answers],
        })  # fmt: skip
    return samples


def _addresses(images: Sequence[Sequence[Image.Image]], most_bytes: int) -> list[list[str]]:
    addresses = iter(data_addresses([image for images in images for image in images], most_bytes))
    return [[next(addresses) for _ in images] for images in images]
