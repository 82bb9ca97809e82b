"""Sets of the hub, against a hub on this machine: pinned commits, gated sets, and no network at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import data_sets
import pytest
from hub import COMMIT, hub

SCRIPT = """
import json, sys
from sightline.errors import UserError
from sightline.tasks import DataOptions, load_task
for line in sys.stdin:
    case = json.loads(line)
    try:
        task = load_task(case["task"], DataOptions(**case.get("options", {})))
        train = task.train(case.get("count"), 0)
        print(json.dumps({
            "train": sorted(problem.id for problem in train), "test": len(task.test(None, 0)),
            "revision": task.opened(task.source).revision, "size": train[0].images[0].size,
        }))
    except UserError as error:
        print(json.dumps({"error": str(error)}))
"""


def ask(cases: list[dict], home, **environment: str) -> list[dict]:
    """What a fresh process makes of tasks, one answer per case."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="".join(json.dumps(case) + "\n" for case in cases),
        env=os.environ | {"HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    data_sets.virl39k(folder / "chamber111" / "VPPO_ViRL39K_train")
    data_sets.mmk12_test(folder / "chamber111" / "VPPO_MMK12_validation")
    data_sets.geometry3k(folder / "hiyouga" / "geometry3k")
    data_sets.virl39k(folder / "gated" / "set")
    return folder


def test_sets_come_from_the_hub_at_a_commit_and_then_without_a_network(root, tmp_path):
    cases = [
        {"task": "chamber111/VPPO_ViRL39K_train"},
        {"task": {"source": "hiyouga/geometry3k", "revision": COMMIT}},
        {"task": "hiyouga/geometry3k", "options": {"streaming": True}, "count": 3},
        {"task": "gated/set"},
        {"task": {"source": "hiyouga/geometry3k", "revision": "0000"}},
        {"task": "hiyouga/geometry4k"},
    ]
    with hub(root) as (address, _):
        virl, pinned, streamed, gated, wrong_revision, unknown = ask(cases, tmp_path, HF_ENDPOINT=address)
    assert virl["train"] == [f"VPPO_ViRL39K_train/train/{i}" for i in range(6)]
    assert (virl["test"], virl["revision"], virl["size"]) == (4, COMMIT, [24, 16])
    assert (len(pinned["train"]), pinned["test"], pinned["revision"]) == (4, 2, COMMIT)
    assert len(streamed["train"]) == 3 and streamed["revision"] == COMMIT
    for refused, word in ((gated, "gated"), (wrong_revision, "0000"), (unknown, "doesn't exist")):
        assert (
            word in refused["error"] and "HF_TOKEN" in refused["error"] and "--local-dir" in refused["error"]
        )
        assert "\n" not in refused["error"] and ".." not in refused["error"]
    again, unseen = ask([cases[0], {"task": "gated/set"}], tmp_path, HF_HUB_OFFLINE="1")
    assert again["train"] == virl["train"]
    assert "cannot load gated/set from the hub" in unseen["error"]
