"""Two ranks that hold a model in halves score as one that holds it whole, its head tied or not."""

from __future__ import annotations

import several_ranks

WORKER = """
import os
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from tiny_models import build, prompts, rollouts
from sightline.engines.wrapped_forward import accept_inside
from sightline.methods import Needs
from sightline.models.scoring.score import score
from sightline.views import Patches, TextOnly

dist.init_process_group("gloo")
signals = frozenset(["exact_kl", "entropy", "visual_focus"])
views = {"qwen2_5_vl": TextOnly(), "gemma3": Patches(size=8, per="rollout"), "qwen3_vl": TextOnly()}
for family, view in views.items():
    model, processor = build(family)
    batch = rollouts(model, processor, prompts(), group=2)
    scoring = lambda m: score(m, processor, batch, Needs(signals, view, False), seed=0, step=0)
    wanted = scoring(model)
    accept_inside(model)
    for layer in model.get_decoder().layers:
        fully_shard(layer)
    fully_shard(model)
    head = model.get_output_embeddings().weight
    assert isinstance(head, DTensor) and head.to_local().numel() * 2 == head.numel()
    tied = head is model.get_input_embeddings().weight
    assert tied == (family != "qwen2_5_vl"), family
    found = model(inside=scoring)
    assert found.log_probs.norm() > 1
    for name in signals:
        torch.testing.assert_close(found.signals[name], wanted.signals[name], atol=1e-5, rtol=1e-4)
    for name in ("log_probs", "other_log_probs", "placeholder_mass"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), atol=1e-5, rtol=1e-4)
dist.barrier()
os._exit(0)
"""


def test_sharded_heads_score_as_whole_ones() -> None:
    results = several_ranks.run(["-c", WORKER], ranks=2)
    assert [code for code, _ in results] == [0, 0], results[0][1][-3000:] + results[1][1][-3000:]
