"""NoisyRollout over two processes, with groups that lie on both and others that are replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import several_ranks

pytestmark = pytest.mark.slow

WORKER = str(Path(several_ranks.__file__).with_name("noised_rank_worker.py"))


def first_step(folder: Path, ranks: int) -> list[dict[str, Any]]:
    folder.mkdir()
    results = several_ranks.run([WORKER, str(folder)], ranks)
    assert all(code == 0 for code, _ in results), results[0][1][-3000:] + results[-1][1][-3000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]


def noised_copies(ranks: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Each image -> what its noised rollouts were sampled from."""
    found: dict[str, set[str]] = {}
    for rank in ranks:
        for noised, image, shown in rank["sampled"]:
            assert (image != shown) == noised
            if noised:
                found.setdefault(image, set()).add(shown)
    return found


def test_two_processes_sample_from_the_same_noised_images(tmp_path: Path) -> None:
    alone, together = first_step(tmp_path / "alone", 1), first_step(tmp_path / "together", 2)
    assert [row[0] for row in together[0]["sampled"][:6]] == [False, False, True, True, False, False]
    assert [row[0] for row in together[1]["sampled"][:6]] == [True, True, False, False, True, True]
    copies = noised_copies(together)
    assert len(copies) == 4, "the prompt that replaces another is noised too"
    assert all(len(drawn) == 1 for drawn in copies.values()), "one copy a prompt, on whatever rank"
    assert copies == noised_copies(alone)
    for rank in [*alone, together[0]]:
        logged = rank["logged"]
        assert logged["rollouts/clean_accuracy"] == pytest.approx(2 / 6), "of what is trained on"
        assert logged["rollouts/noised_accuracy"] == pytest.approx(4 / 6)
        assert logged["rollouts/noise_step"] == 900 and logged["grad_norm"] > 0
        assert logged["groups/sampled"] >= 4
    assert together[0]["weights"] == together[1]["weights"]
