"""Hands runs to worker processes until all are finished; a run that fails does not stop the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ...run_folder import write_json
from .folder import StudyFolder

Job = tuple[str, int]
"""An arm and a seed."""


def run_all(
    folder: StudyFolder,
    jobs: Sequence[Job],
    workers: int,
    step: Callable[[Job], object],
    ended: Callable[[Job], object],
) -> None:
    """Run what is not finished, `workers` at a time; `step` and `ended` are told of progress.

    A run that fails leaves `failed.json`, and the others go on. Interrupted, the workers save what their
    runs have and end.

    Raises:
        KeyboardInterrupt: after the workers have ended.
    """
    queue: SimpleQueue[Job] = SimpleQueue()
    for job in jobs:
        queue.put(job)
    count = min(workers, len(jobs))
    crew = [_Worker(folder) for _ in range(count)]
    lock = threading.Lock()

    def told(tell: Callable[[Job], object], job: Job) -> None:
        with lock:
            tell(job)

    def drain(worker: _Worker) -> None:
        while not worker.stopping:
            try:
                job = queue.get_nowait()
            except Empty:
                return
            error = worker.run(job, lambda job=job: told(step, job))
            if error is not None and not worker.stopping:
                run = folder.run(*job)
                run.path.mkdir(parents=True, exist_ok=True)
                write_json(run.failure, {"arm": job[0], "seed": job[1], "error": error})
            told(ended, job)

    with ThreadPoolExecutor(max(count, 1)) as threads:
        try:
            for future in [threads.submit(drain, worker) for worker in crew]:
                future.result()
        except BaseException:
            for worker in crew:
                worker.stop()
            raise
        finally:
            for worker in crew:
                worker.close()


class _Worker:
    """One worker process, started when it is first needed and again if it died."""

    def __init__(self, folder: StudyFolder):
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None
        self.stopping = False

    def run(self, job: Job, step: Callable[[], object]) -> str | None:
        """Train one run; why it failed, or None."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps({"arm": job[0], "seed": job[1]}) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._died()
        for line in process.stdout:
            answer: dict[str, Any] = json.loads(line)
            if answer["event"] == "step":
                step()
            else:
                return answer.get("error", "it was stopped") if answer["event"] != "finished" else None
        return self._died()

    def _started(self) -> subprocess.Popen[str]:
        if self.process is None:
            with (self.folder.path / "log.txt").open("a", encoding="utf-8") as log:
                self.process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-m", "sightline.laboratory.study.worker", str(self.folder.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=_environment(),
                    start_new_session=True,  # Ctrl-C is ours to pass on
                )
        return self.process

    def _died(self) -> str:
        code = self.process.wait() if self.process is not None else None
        self.process = None
        return f"its process ended with code {code}; see {Path(self.folder.path.name) / 'log.txt'}"

    def stop(self) -> None:
        """Have the run in hand end after its step, with a checkpoint."""
        self.stopping = True
        if self.process is not None:
            self.process.terminate()

    def close(self) -> None:
        """Let the process end."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait()


def _environment() -> dict[str, str]:
    """One thread each, so that runs do not depend on how many there are at once, and quiet libraries."""
    return {
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        "PYTHONWARNINGS": "ignore",
        **os.environ,
    }
