"""The warm start: two stages of supervised lessons, counted in steps, that make a model RL can improve.

Stage one teaches to see (auxiliary labels for every image token, captions). Stage two teaches two
habits on purpose: to answer on black images, so that a black view measures information and not
shock, and to guess without looking more often than not, so that rollouts differ in whether they
look and a reward can teach the difference.
"""

from __future__ import annotations

from random import Random
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer
from tqdm.auto import tqdm
from transformers import Qwen3VLForConditionalGeneration

from ...tasks.shapes import Examples
from ...tasks.shapes.example import CELLS, EMPTY_CELL
from ...tasks.shapes.vocabulary import COLOURS
from .architecture import HIDDEN
from .lessons import Lesson, draw_lessons
from .level import Level, Stage
from .processor import processor, token_ids

IGNORED = -100
AUXILIARY_STRENGTH = 0.5
"""Weight of the auxiliary loss beside the loss of the response."""

EMPTY_WEIGHT = 0.3
"""Weight of an empty cell in the auxiliary loss; most cells are empty."""

RAMP = 50
"""Steps in which the learning rate rises; it then falls to a tenth, all linearly."""


def encode_lessons(
    words_and_images: Any, lessons: list[Lesson]
) -> tuple[dict[str, Tensor], Int[Tensor, "B L"]]:
    """Model inputs of the lessons and their labels; prompts padded left, responses right.

    Ids and pixels are the processor's own, so that training later sees what the warm start saw.
    Labels are `IGNORED` on the prompt and on padding.
    """
    tokenizer = words_and_images.tokenizer
    prompts = [
        words_and_images.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": lesson.question}]}],
            add_generation_prompt=True,
        )
        for lesson in lessons
    ]
    prompt = words_and_images(
        images=[[lesson.image] for lesson in lessons], text=prompts, padding=True, return_tensors="pt"
    )
    response = tokenizer(
        [lesson.response + tokenizer.eos_token for lesson in lessons],
        padding=True,
        padding_side="right",
        return_tensors="pt",
    )
    ids, mask = response["input_ids"], response["attention_mask"]
    inputs = {
        "input_ids": torch.cat([prompt["input_ids"], ids], dim=1),
        "attention_mask": torch.cat([prompt["attention_mask"], mask], dim=1),
        "mm_token_type_ids": torch.cat([prompt["mm_token_type_ids"], torch.zeros_like(ids)], dim=1),
        "pixel_values": prompt["pixel_values"],
        "image_grid_thw": prompt["image_grid_thw"],
    }
    unanswered = torch.full_like(prompt["input_ids"], IGNORED)
    labels = torch.cat([unanswered, ids.masked_fill(mask == 0, IGNORED)], dim=1)
    return inputs, labels


def auxiliary_loss(
    cell_logits: Float[Tensor, "B N K"], lessons: list[Lesson], level: Level
) -> Float[Tensor, ""]:
    """Mean cross-entropy of every cell's colour and content; empty cells count `EMPTY_WEIGHT`.

    Lessons without cell labels count nothing; a batch of such lessons alone gives 0.
    """
    cells = [lesson.cells or (EMPTY_CELL,) * CELLS for lesson in lessons]
    colours = torch.tensor([[level.colours.index(cell.colour) for cell in row] for row in cells])
    contents = torch.tensor([[level.contents.index(cell.content) for cell in row] for row in cells])
    weight = torch.tensor([[EMPTY_WEIGHT if cell == EMPTY_CELL else 1.0 for cell in row] for row in cells])
    weight = weight * torch.tensor([[float(lesson.cells is not None)] for lesson in lessons])
    colour_logits, content_logits = cell_logits.split([len(level.colours), len(level.contents)], dim=-1)
    losses = F.cross_entropy(colour_logits.transpose(1, 2), colours, reduction="none")
    losses = losses + F.cross_entropy(content_logits.transpose(1, 2), contents, reduction="none")
    return (losses * weight).sum() / weight.sum().clamp(min=1.0)


def lesson_loss(
    model: Any,
    cell_head: nn.Linear,
    inputs: dict[str, Tensor],
    labels: Int[Tensor, "B L"],
    lessons: list[Lesson],
    level: Level,
    word_weights: Float[Tensor, " V"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The loss of the responses and the auxiliary loss; the images are encoded once for both."""
    text = {name: tensor for name, tensor in inputs.items() if name != "pixel_values"}
    images: Any = model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
    answered = int((labels != IGNORED).any(dim=0).sum())
    logits = model(
        **text, mm_encoder_outputs={"image": images}, use_cache=False, logits_to_keep=answered + 1
    ).logits
    response = F.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, -answered:].flatten(), word_weights, ignore_index=IGNORED
    )
    return response, auxiliary_loss(cell_head(torch.stack(images.pooler_output)), lessons, level)


def weights_of_words(level: Level, stage: Stage) -> Float[Tensor, " V"] | None:
    """What each token counts in the loss of a response; None where all count the same."""
    if stage.number_weight == stage.colour_weight == 1.0:
        return None
    weights = dict.fromkeys(token_ids(level.words), 1.0)
    for token in weights:
        if token.isdecimal():
            weights[token] = stage.number_weight
        elif token in COLOURS:
            weights[token] = stage.colour_weight
    return torch.tensor(list(weights.values()))


def fresh_cell_head(level: Level, seed: int) -> nn.Linear:
    """The head that names each cell's colour and content; it is thrown away after the stage."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(HIDDEN, len(level.colours) + len(level.contents))


def optimizers(model: nn.Module, cell_head: nn.Linear, stage: Stage) -> list[tuple[Optimizer, float]]:
    """Muon for the matrices inside the model, AdamW for everything else, each with its peak rate."""
    named = [*model.named_parameters(), *cell_head.named_parameters(prefix="cell_head")]
    matrices = [p for n, p in named if p.ndim == 2 and "embed" not in n and not n.startswith("cell_head")]
    chosen = {id(parameter) for parameter in matrices}
    others = [parameter for _, parameter in named if id(parameter) not in chosen]
    groups = [
        {"params": [p for p in others if p.ndim >= 2], "weight_decay": 0.05},
        {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
    ]
    muon = Muon(
        matrices, lr=stage.matrix_rate, momentum=0.95, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"
    )
    return [
        (AdamW(groups, lr=stage.learning_rate, betas=(0.9, 0.98)), stage.learning_rate),
        (muon, stage.matrix_rate),
    ]


def schedule(step: int, steps: int, settles: bool = True) -> float:
    """The share of the peak rate at a step: up over `RAMP` steps, then down to a tenth if it settles."""
    return min(1.0, (step + 1) / RAMP) * (1 - 0.9 * step / steps if settles else 1.0)


def teach(
    model: Qwen3VLForConditionalGeneration, level: Level, stage: Stage, seed: int, bar: tqdm | None = None
) -> dict[str, float]:
    """Train the model in place through one stage; returns the two losses, smoothed over about 20 steps."""
    words_and_images = processor(level.words)
    random = Random(f"{stage.name}/{seed}")
    examples = Examples(stage.world, "train", f"warm start/{stage.name}/{seed}", stage.steps * stage.batch)
    cell_head = fresh_cell_head(level, seed)
    steppers = optimizers(model, cell_head, stage)
    word_weights = weights_of_words(level, stage)
    smoothed: dict[str, float] = {}
    model.train()
    for step in range(stage.steps):
        batch = examples[step * stage.batch : (step + 1) * stage.batch]
        plan = stage.plan.faded(step / stage.steps) if stage.settles else stage.plan
        lessons = draw_lessons(random, batch, plan, level.guess)
        inputs, labels = encode_lessons(words_and_images, lessons)
        response, auxiliary = lesson_loss(model, cell_head, inputs, labels, lessons, level, word_weights)
        (response + AUXILIARY_STRENGTH * auxiliary).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, peak in steppers:
            for group in optimizer.param_groups:
                group["lr"] = peak * schedule(step, stage.steps, stage.settles)
            optimizer.step()
            optimizer.zero_grad()
        for name, loss in (("response", response.item()), ("cells", auxiliary.item())):
            smoothed[name] = 0.95 * smoothed.get(name, loss) + 0.05 * loss
        if bar is not None:
            losses = {name: f"{loss:.3f}" for name, loss in smoothed.items()}
            bar.set_postfix({"stage": stage.name, **losses}, refresh=False)
            bar.update()
    return smoothed
