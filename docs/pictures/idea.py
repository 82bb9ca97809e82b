"""Draw docs/pictures/idea.svg: one right answer under the embedded model, each token shaded by its weight.

python docs/pictures/idea.py
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from sightline import Needs, method, view
from sightline.evaluation.tokens.scored_samples import as_rollouts
from sightline.image_addresses import png_address
from sightline.models.generation.generate import Answer
from sightline.models.loading import load_model
from sightline.models.scoring.score import score
from sightline.tasks import Problem, ShapesTask

PROBLEM = 10
ROWS = (
    ("KL to the answer without the image, nats", None),
    ("GRPO: every token earns the same", "grpo"),
    ("VPPO: the top 40 % of tokens", "vppo"),
    ("PGPO: a gate that conserves the sum", "pgpo"),
    ("VGPO: hidden state near the image's", "vgpo"),
)


def scored() -> tuple[Problem, list[str], dict[str, list[float]]]:
    """The problem, the tokens of its right answer in full, and each row's numbers."""
    loaded, problems = load_model("embedded", "float32"), ShapesTask().test(64, 0)
    problem, text = problems[PROBLEM], problems.examples[PROBLEM].response_text
    prompt = loaded.processor(
        text=[
            loaded.processor.apply_chat_template(
                ShapesTask().messages(problem), add_generation_prompt=True, tokenize=False
            )
        ],
        images=[list(problem.images)],
        return_tensors="pt",
    )["input_ids"][0].tolist()
    tokenizer = loaded.processor.tokenizer
    answer = Answer(prompt, [*tokenizer(text)["input_ids"], tokenizer.eos_token_id], text, truncated=False)
    rollouts = as_rollouts([answer], [problem.images], loaded.processor.tokenizer.pad_token_id, [problem.id])
    needs = Needs(frozenset({"exact_kl", "visual_focus"}), view("black"), second_view_gradient=False)
    signals = score(loaded.model, loaded.processor, rollouts, needs, seed=0, step=0).signals
    numbers = {}
    for label, name in ROWS:
        if name is None:
            numbers[label] = signals["exact_kl"][0].tolist()
            continue
        chosen = method(name) if name in ("grpo", "vgpo") else method(name, signal="exact_kl")
        scores = signals[chosen.signals[0]] if chosen.signals else None
        numbers[label] = chosen.weights(scores, rollouts.mask, rollouts.group_ids)[0].tolist()
    tokens = [loaded.processor.tokenizer.decode([token]) for token in answer.token_ids]
    return problem, tokens, numbers


def draw() -> str:
    """The SVG as text."""
    problem, tokens, numbers = scored()
    widths = [12 + 8.2 * len(token) for token in tokens]
    left, top, step = 128, 64, 62
    width, height = left + sum(widths) + 24, top + step * len(ROWS) + 6
    image, question = png_address(problem.images[0].resize((96, 96), 0)), escape(problem.question)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
        'font-family="ui-monospace, monospace" role="img">',
        "<title>Which tokens of an answer earn the reward, by method</title>",
        f'<rect width="{width:.0f}" height="{height}" rx="10" fill="#ffffff" stroke="#d0d7de"/>',
        f'<image href="{image}" x="16" y="64" width="96" height="96"/>',
        f'<text x="{left}" y="34" font-size="15" font-weight="600" fill="#1f2328">{question}</text>',
    ]
    for index, (label, _) in enumerate(ROWS):
        y, x, values = top + step * index, float(left), numbers[label]
        parts.append(f'<text x="{left}" y="{y + 2}" font-size="12" fill="#57606a">{escape(label)}</text>')
        peak = max(values)
        for token, value, size in zip(tokens, values, widths, strict=True):
            share = value / peak if peak else 0.0
            ink = "#ffffff" if share > 0.55 else "#1f2328"
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 9}" width="{size - 3:.1f}" height="22" rx="3" '
                f'fill="#0550ae" fill-opacity="{share:.3f}" stroke="#d0d7de"/>'
                f'<text x="{x + (size - 3) / 2:.1f}" y="{y + 24}" font-size="13" text-anchor="middle" '
                f'fill="{ink}">{escape(token)}</text>'
                f'<text x="{x + (size - 3) / 2:.1f}" y="{y + 42}" font-size="8" text-anchor="middle" '
                f'fill="#57606a">{value:.1f}</text>'
            )
            x += size
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("idea.svg").write_text(draw(), encoding="utf-8")
