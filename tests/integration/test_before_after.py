"""Accuracy before and after training: the first is kept, the second belongs to the model as it is now."""

import json
from pathlib import Path

import torch

from sightline.evaluation.before_after import BeforeAfter
from sightline.models.loading import load_model
from sightline.run_folder import RunFolder
from sightline.tasks import ShapesTask


def test_a_resumed_run_measures_again_what_training_changed(tmp_path: Path) -> None:
    task, loaded = ShapesTask(), load_model("embedded", torch.float32)
    folder = RunFolder(tmp_path)

    def measured(*moments: str) -> dict[str, float]:
        started = BeforeAfter(folder, task, task.test(24, 0), 1, 0, 24)
        for moment in moments:
            started.measure(moment, loaded)
        return {name: of["greedy"]["value"] for name, of in json.loads(folder.evaluation.read_text()).items()}

    first = measured("before", "after")
    assert first["before"] == first["after"] > 0
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.zero_()
    assert measured("before", "after") == {"before": first["before"], "after": 0}
