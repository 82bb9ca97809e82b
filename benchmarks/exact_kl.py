"""Exact KL from two hidden states without logits: time and memory against full logits.

python benchmarks/exact_kl.py [--smallest] [--rounds 3] [--compiled] [--device cuda --shape 7b]

T = 2048 tokens, vocabulary 151,936, hidden size 2048 (Qwen2.5-VL-3B's head) in bfloat16, KL, log-probs of
both views and entropy. "plain": logits of both views in bfloat16, log-softmax in float32, sums. On a CPU
time is measured over fewer tokens, since it is proportional to them. `--compiled` adds a row whose "ours" is
torch.compile of the tiles and whose "plain" the tiles as they are.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from measuring import Meter, Row, arguments, report
from measuring.models import SHAPES
from torch import Tensor

from sightline.signals import token_statistics

SIGNALS = ["exact_kl", "entropy"]


@torch.no_grad()
def plain(hidden: Tensor, other: Tensor, weight: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """Everything from `[T, V]` tensors."""
    log_p = (hidden @ weight.T).float().log_softmax(-1)
    log_q = (other @ weight.T).float().log_softmax(-1)
    p = log_p.exp()
    return {
        "log_prob": log_p.gather(-1, tokens[:, None])[:, 0],
        "other_log_prob": log_q.gather(-1, tokens[:, None])[:, 0],
        "exact_kl": (p * (log_p - log_q)).sum(-1),
        "entropy": -(p * log_p).sum(-1),
    }


@torch.no_grad()
def ours(hidden: Tensor, other: Tensor, weight: Tensor, tokens: Tensor, by: Any = None) -> dict[str, Tensor]:
    """Tile by tile."""
    return (by or token_statistics)(hidden, other, weight, None, tokens, 1.0, SIGNALS)


def made(tokens: int, vocabulary: int, width: int, device: str, dtype: str) -> list[Tensor]:
    """Hidden states of two views that are near each other, a head, and sampled tokens."""
    random = torch.Generator(device).manual_seed(0)
    hidden = torch.randn(tokens, width, generator=random, device=device)
    other = hidden + 0.1 * torch.randn(tokens, width, generator=random, device=device)
    weight = torch.randn(vocabulary, width, generator=random, device=device) * 0.02
    ids = torch.randint(vocabulary, (tokens,), generator=random, device=device)
    return [*(tensor.to(getattr(torch, dtype)) for tensor in (hidden, other, weight)), ids]


def main() -> None:
    parser = arguments(__doc__, devices=True)
    parser.add_argument("--compiled", action="store_true", help="also measure torch.compile")
    parser.set_defaults(shape="3b", dtype="bfloat16")
    args = parser.parse_args()
    torch.set_num_threads(1)
    meter, shape = Meter(args.device), SHAPES[args.shape]
    sizes = (64, 32, 1000, 32) if args.smallest else (2048, 256, shape.vocabulary, shape.hidden)
    tokens, timed, vocabulary, width = sizes
    timed = tokens if meter.cuda else timed
    given = made(tokens, vocabulary, width, args.device, args.dtype)
    part = [given[0][:timed], given[1][:timed], given[2], given[3][:timed]]
    mine, other = ours(*part), plain(*part)
    for name, values in other.items():
        torch.testing.assert_close(mine[name], values, atol=2e-3, rtol=2e-3)
    del mine, other
    rows = [
        meter.in_turns(
            f"time, {timed} tokens", partial(ours, *part), partial(plain, *part), args.rounds, warm=True
        )
    ]
    if args.compiled:
        compiled = torch.compile(token_statistics, dynamic=False)
        name = f"time, {timed} tokens, torch.compile against tiles"
        rows.append(meter.in_turns(name, partial(ours, *part, compiled), partial(ours, *part), args.rounds))
    memory = [meter.spent(partial(side, *given))[1] for side in (ours, plain)]
    rows.append(Row(f"extra memory, {tokens} tokens", *memory, memory[0] / max(memory[1], 1e-9), "MB"))
    title = f"Exact KL, vocabulary {vocabulary:,}, hidden size {width}, {args.dtype}"
    report(args.out / "exact_kl.json", rows, title, args.device)


if __name__ == "__main__":
    main()
