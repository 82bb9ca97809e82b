"""Write verl_step.json: one rollout batch as the verl engine trained on it, for the other engine to repeat.

Run in the environment of `make test-verl`:
    PYTHONPATH=tests/with_verl .venv-verl/bin/python tests/golden/make_verl_step.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from runs import SETTINGS, train

HERE = Path(__file__).parent
METHOD = "vppo"


def main() -> None:
    """Train two steps and keep the first."""
    with tempfile.TemporaryDirectory() as folder:
        run = train(Path(folder) / "run", method=METHOD)
        assert run.code == 0, run.said
        rows, metrics = run.step(1), run.metrics[0]
        columns: dict[str, Any] = {
            "sample": [info["id"] for info in rows["extra_info"]],
            "rollout": [int(number) for number in rows["session_id"]],
            "response": [ids.tolist() for ids in rows["responses"]],
            "reward": [float(values.sum()) for values in rows["rm_scores"]],
            "exact_kl": [[round(float(v), 9) for v in values] for values in rows["sightline_exact_kl"]],
            "advantages": [[round(float(v), 7) for v in values] for values in rows["advantages"]],
        }
        kept = {name: metrics[name] for name in ("loss", "grad_norm", "reward", "accuracy")}
        found = {"method": METHOD, "settings": SETTINGS, "metrics": kept, **columns}
        (HERE / "verl_step.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
