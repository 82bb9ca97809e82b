"""The scoring pass against the plain one, on a Qwen2.5-VL with random weights.

python benchmarks/scoring.py [--smallest] [--rounds 3] [--device cuda --dtype bfloat16 --shape 3b]

Both views of G = 8 rollouts of one prompt -> exact KL, log-probs and visual focus; by default 20 million
parameters, float32, one thread. "plain": two whole forwards over G x (P + T) tokens with the images
repeated, logits at response positions only, log-softmax in float32. Three quarters of the prompt are image
tokens. Ours processes the images of both views within the time; plain finds them processed.
"""

from __future__ import annotations

from typing import Any

import torch
from measuring import Meter, Row, arguments, report
from measuring.models import SHAPES, model, processor, rollouts
from torch import Tensor

from sightline.methods import Needs
from sightline.models.draw_views import viewed_images
from sightline.models.families import process_images
from sightline.models.scoring.score import score
from sightline.rollouts import Rollouts
from sightline.views import Black, Patches, TextOnly, View

SIGNALS = frozenset(["exact_kl", "visual_focus"])
SHARED: dict[str, View] = {"text only": TextOnly(), "black, per prompt": Black()}
VIEWS = SHARED | {"patches, per rollout": Patches(per="rollout")}
SIZES = {
    "P=600, T=128": (((18, 25), 600, 128), VIEWS),
    "P=1300, T=256": (((25, 39), 1300, 256), SHARED),
}
SMALLEST = {"P=40, T=8": (((4, 6), 40, 8), VIEWS)}
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1, "float16": 0.1}


def plain_inputs(chosen: Any, feed: Any, batch: Rollouts, view: View) -> list[dict[str, Tensor]]:
    """Everything the two forwards take, images repeated for every rollout."""
    ids = torch.cat([batch.prompt_ids, batch.response_ids], 1)
    common = {
        "input_ids": ids,
        "attention_mask": torch.cat([batch.prompt_mask, batch.mask], 1),
        "mm_token_type_ids": (ids == 4).long(),
    }
    seen = [process_images(feed, images) for images in batch.images]
    second = seen
    if not isinstance(view, TextOnly):
        second = [process_images(feed, images) for images in viewed_images(view, batch, feed, seed=0, step=0)]
    names = ("pixel_values", "image_grid_thw")
    both = [
        common | {name: torch.cat([one[name] for one in each]).to(ids.device) for name in names}
        for each in (seen, second)
    ]
    if isinstance(view, TextOnly):
        where, _ = chosen.model.get_rope_index(**{k: v for k, v in both[0].items() if k != "pixel_values"})
        hidden = both[1]["attention_mask"].masked_fill(ids == 4, 0)
        both[1] |= {"position_ids": where, "attention_mask": hidden}
    return both


@torch.no_grad()
def plain(chosen: Any, both: list[dict[str, Tensor]], batch: Rollouts) -> list[Tensor]:
    """Exact KL, log-probs of both views, visual focus."""
    length = batch.mask.shape[1]
    states = [chosen.model(**inputs, use_cache=False).last_hidden_state for inputs in both]
    log_p, log_q = (chosen.lm_head(each[:, -length - 1 : -1]).float().log_softmax(-1) for each in states)
    picked = [each.gather(-1, batch.response_ids[..., None])[..., 0] for each in (log_p, log_q)]
    is_image = both[0]["input_ids"] == 4
    shown = states[0].float()
    mean = (shown * is_image[..., None]).sum(1) / is_image.sum(1, keepdim=True)
    focus = torch.cosine_similarity(shown[:, -length:], mean[:, None], dim=-1)
    return [(log_p.exp() * (log_p - log_q)).sum(-1), *picked, focus]


def compare(chosen: Any, batch: Rollouts, name: str, view: View, args: Any) -> Row:
    """One size under one view; the numbers must agree."""
    feed = processor()
    both = plain_inputs(chosen, feed, batch, view)
    needs = Needs(SIGNALS, view, second_view_gradient=False)

    def ours() -> Any:
        return score(chosen, feed, batch, needs, seed=0, step=0)

    found, wanted = ours(), plain(chosen, both, batch)
    got = [found.signals["exact_kl"], found.log_probs, found.other_log_probs, found.signals["visual_focus"]]
    near = TOLERANCES[args.dtype]
    for mine, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, other, atol=near, rtol=near)
    del found, wanted, got
    meter = Meter(args.device)
    return meter.in_turns(name, ours, lambda: plain(chosen, both, batch), args.rounds, warm=True)


def main() -> None:
    parser = arguments(__doc__, devices=True)
    parser.set_defaults(shape="20m", dtype="float32")
    args = parser.parse_args()
    torch.set_num_threads(1)
    shape, group = SHAPES[args.shape], 2 if args.smallest else 8
    chosen = model(shape, args.device, args.dtype)
    rows = []
    for name, (size, views) in (SMALLEST if args.smallest else SIZES).items():
        batch = rollouts(shape, *size, group, args.device)
        rows += [
            compare(chosen, batch, f"{name}, G={group}, {seen}", view, args) for seen, view in views.items()
        ]
    report(args.out / "scoring.json", rows, f"Scoring both views: {args.shape}, {args.dtype}", args.device)


if __name__ == "__main__":
    main()
