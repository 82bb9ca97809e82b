"""What the signals of newer methods add to scoring: PEPO's to VGPO's, and VEPO's three to one of them.

python benchmarks/newer_signals.py [--smallest] [--rounds 3] [--group 2] [--device cuda --dtype bfloat16]

The first row is a pass over the vocabulary alone: Jensen-Shannon and both entropies against Jensen-Shannon,
256 tokens, 151,936 words. The others are scoring passes at T = 2048 on a Qwen2.5-VL of random weights, one
thread: PEPO, whose similarity reads every layer's states and whose entropy the vocabulary, against VGPO's of
the last layer's; and the similarity alone. Memory is the pass's peak, "plain" VGPO's, "ours" what is added.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection
from functools import partial
from typing import Any

import torch
from exact_kl import made
from measuring import Meter, Row, arguments, report
from measuring.models import SHAPES, model, processor, rollouts

from sightline.methods import Needs, method
from sightline.models.scoring.score import score
from sightline.signals import token_statistics


def scoring(chosen: Any, shape: Any, size: Any, group: int, meter: Meter, rounds: int) -> list[Row]:
    """Time and the peak of memory of whole scoring passes."""
    feed, batch = processor(), rollouts(shape, *size, group=group, device=meter.device)

    def run(needs: Needs) -> Any:
        return score(chosen, feed, batch, needs, seed=0, step=0)

    plain = partial(run, method("vgpo").needs)
    sides = {
        "pepo": method("pepo").needs,
        "hidden_similarity alone": Needs(frozenset(["hidden_similarity"]), None, second_view_gradient=False),
    }
    rows = []
    for name, needs in sides.items():
        ours = partial(run, needs)
        rows.append(meter.in_turns(f"{name}, T={size[2]}, G={group}", ours, plain, rounds))
        rows.append(beyond(f"{name}, memory beyond vgpo's", meter, ours, plain, rounds))
    return rows


def beyond(name: str, meter: Meter, ours: Any, plain: Any, rounds: int) -> Row:
    """By how much the peak of one pass is above that of another, the median of several pairs."""
    pairs = [(meter.spent(ours)[1], meter.spent(plain)[1]) for _ in range(rounds)]
    more = statistics.median(mine - other for mine, other in pairs)
    usual = statistics.median(other for _, other in pairs)
    return Row(name, more, usual, more / max(usual, 1e-9), "MB")


def vocabulary(sizes: tuple[int, int, int], meter: Meter, dtype: str, rounds: int) -> Row:
    """Three signals of the same distributions against one."""
    hidden, other, weight, ids = made(*sizes, meter.device, dtype)

    @torch.no_grad()
    def run(signals: Collection[str]) -> Any:
        return token_statistics(hidden, other, weight, None, ids, 1.0, signals)

    ours = partial(run, sorted(method("vepo").signals))
    return meter.in_turns(f"vepo, {sizes[0]} tokens", ours, partial(run, ["jensen_shannon"]), rounds)


def main() -> None:
    parser = arguments(__doc__, devices=True)
    parser.add_argument("--group", type=int, default=2, help="rollouts of the prompt")
    parser.set_defaults(shape="20m", dtype="float32")
    args = parser.parse_args()
    torch.set_num_threads(1)
    meter, shape = Meter(args.device), SHAPES[args.shape]
    size = ((4, 6), 40, 8) if args.smallest else ((18, 25), 600, 2048)
    words = (16, 1000, 32) if args.smallest else (256, SHAPES["3b"].vocabulary, SHAPES["3b"].hidden)
    chosen = model(shape, args.device, args.dtype)
    rows = [vocabulary(words, meter, args.dtype, args.rounds)]
    rows += scoring(chosen, shape, size, args.group, meter, args.rounds)
    report(args.out / "newer_signals.json", rows, f"Newer signals: {args.shape}, {args.dtype}", args.device)


if __name__ == "__main__":
    main()
