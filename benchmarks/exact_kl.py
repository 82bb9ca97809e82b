"""Exact KL from two hidden states without logits: time and memory against full logits.

python benchmarks/exact_kl.py [--smallest] [--rounds 3]

T = 2048 tokens, vocabulary 151,936, hidden size 2048 (Qwen2.5-VL-3B's head) in bfloat16, KL, log-probs of
both views and entropy. "plain": logits of both views in bfloat16, log-softmax in float32, sums. On a CPU
time is measured over fewer tokens, since it is proportional to them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import torch
from measuring import Row, arguments, in_turns, peak_megabytes, report
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
def ours(hidden: Tensor, other: Tensor, weight: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """Tile by tile."""
    return token_statistics(hidden, other, weight, None, tokens, 1.0, SIGNALS)


def made(tokens: int, vocabulary: int, width: int) -> tuple[Tensor, ...]:
    """Hidden states of two views that are near each other, a head, and sampled tokens."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    random = torch.Generator(device).manual_seed(0)
    hidden = torch.randn(tokens, width, generator=random, device=device)
    other = hidden + 0.1 * torch.randn(tokens, width, generator=random, device=device)
    weight = torch.randn(vocabulary, width, generator=random, device=device) * 0.02
    ids = torch.randint(vocabulary, (tokens,), generator=random, device=device)
    return hidden.bfloat16(), other.bfloat16(), weight.bfloat16(), ids


def main() -> None:
    parser = arguments(__doc__)
    parser.set_defaults(rounds=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokens, timed, vocabulary, width = (64, 32, 1000, 32) if args.smallest else (2048, 256, 151_936, 2048)
    timed = tokens if torch.cuda.is_available() else timed
    given = made(tokens, vocabulary, width)
    part: Any = (given[0][:timed], given[1][:timed], given[2], given[3][:timed])
    for name, values in plain(*part).items():
        torch.testing.assert_close(ours(*part)[name], values, atol=2e-3, rtol=2e-3)
    rows = [in_turns(f"time, {timed} tokens", lambda: ours(*part), lambda: plain(*part), args.rounds)]
    memory: list[float] = []
    for side in (ours, plain):
        gc.collect()
        run: Callable[[], Any] = lambda side=side: side(*given)  # noqa: E731
        memory.append(peak_megabytes(run))
    rows.append(Row(f"extra memory, {tokens} tokens", *memory, memory[0] / max(memory[1], 1e-9), "MB"))
    report(
        args.out / "exact_kl.json",
        rows,
        f"Exact KL, vocabulary {vocabulary:,}, hidden size {width}, bfloat16",
    )


if __name__ == "__main__":
    main()
