"""Two processes give the weights, advantages and gradient of one, with groups that lie on both.

The one runs every rollout whole, the two share prompts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import several_ranks
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

CASES: dict[str, tuple[str, dict[str, Any], list[int]]] = {
    "vgpo": ("vgpo", {}, []),
    "vppo": ("vppo", {"keep": 0.2}, []),
    "papo": ("papo", {"second_grad": True, "view": "text_only"}, []),
    "a rank without images": ("vppo", {}, [2, 3]),
    "a rank without images, two views": ("papo", {"second_grad": True}, [2, 3]),
}
"""Method, options, and the problems that have no image: the second of two ranks gets the last ones."""
WORKER = str(Path(several_ranks.__file__).with_name("rank_worker.py"))


def first_steps(
    folder: Path, ranks: int, sharding: dict[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    folder.mkdir()
    results = several_ranks.run([WORKER, str(folder), json.dumps(CASES)], ranks, sharding)
    assert all(code == 0 for code, _ in results), results[0][1][-3000:] + results[-1][1][-3000:]
    return {name: load_file(folder / f"{name}.safetensors") for name in CASES}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return first_steps(tmp_path_factory.mktemp("alone") / "run", 1)


@pytest.mark.parametrize("sharding", ["ddp", "fsdp2"])
def test_two_processes_are_one(sharding: str, alone: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    together = first_steps(tmp_path / "run", 2, several_ranks.FSDP2 if sharding == "fsdp2" else None)
    for name, one in alone.items():
        two = together[name]
        torch.testing.assert_close(two["weighted"], one["weighted"], rtol=1e-5, atol=1e-5)
        gradients = [key for key in one if key.startswith("gradient.")]
        assert gradients and set(gradients) == {key for key in two if key.startswith("gradient.")}
        found, wanted = (torch.cat([side[key].flatten() for key in gradients]) for side in (two, one))
        assert wanted.norm() > 1e-2
        assert ((found - wanted).norm() / wanted.norm()).item() < 1e-5, name
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * wanted.abs().max().item())
        shares = two["shares"].tolist()
        assert all(0.4 < share < 0.6 for share in shares) if sharding == "fsdp2" else shares == [1.0, 1.0]
