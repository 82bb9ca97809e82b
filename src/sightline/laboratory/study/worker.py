"""A process that trains runs of a study in turn: `python -m sightline.laboratory.study.worker FOLDER`.

It reads one JSON object a line, `{"arm", "seed"}`, and answers with lines of `{"event"}`: "step" after every
optimizer step, then one of "finished", "stopped" (by a signal) or "failed" with "error". It ends with its
input, or when nobody reads its output.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def main(path: str) -> None:
    """Train what is asked for until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes to the log

    def tell(event: str, **more: Any) -> None:
        try:
            print(json.dumps({"event": event, **more}), file=answers, flush=True)
        except BrokenPipeError:
            os._exit(1)  # whoever ordered the run is gone; its checkpoints stay

    from ...errors import UserError
    from .folder import StudyFolder
    from .train_run import Runner

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    folder = StudyFolder(Path(path))
    runner = Runner(folder.plan())
    for line in sys.stdin:
        job = json.loads(line)
        try:
            whole = runner.run(job["arm"], job["seed"], folder.run(**job), lambda: tell("step"))
            tell("finished" if whole else "stopped")
        except UserError as error:
            tell("failed", error=str(error))
        except Exception as error:  # a run that fails is reported; the study goes on
            traceback.print_exc()
            tell("failed", error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(sys.argv[1])
