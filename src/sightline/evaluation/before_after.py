"""The same held-out problems before and after training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..models.generation.generate import Decoding
from ..models.loading import LoadedModel
from ..plain_files import Refused, read_plain
from ..run_folder import RunFolder, write_json
from ..structure import COUNT, NUMBER, TEXT, Each, Many, Maybe, fault
from ..tasks.problem import Problem, Task
from ..views import Black
from .run.answer_and_grade import answer
from .statistics.intervals import Measured
from .tokens.scored_samples import sample_rows, scored_samples

BEFORE, AFTER = "before", "after"
MODES = ("greedy", "sampled", "blind")
_SHARE = {"value": Maybe(NUMBER), "low": NUMBER, "high": NUMBER, "n": COUNT}
_MEASURED = Each(dict.fromkeys(MODES, _SHARE))


class BeforeAfter:
    """Measures a model twice and keeps both in eval.json, with a few samples in samples.json."""

    def __init__(
        self,
        folder: RunFolder,
        task: Task,
        problems: Sequence[Problem],
        shown: int,
        seed: int,
        max_new_tokens: int,
    ):
        self.folder, self.task, self.problems, self.shown = folder, task, problems, shown
        self.seed, self.max_new_tokens = seed, max_new_tokens
        self.measured: dict[str, dict[str, Any]] = {}
        self.samples: list[dict[str, Any]] = []
        self.damaged: list[str] = []
        """What was there of an earlier start and cannot be used; it is measured again."""
        self._read()

    def _read(self) -> None:
        """What an earlier start of the run measured; both files or neither, since they belong together."""
        measured = self._whole(self.folder.evaluation, _MEASURED)
        samples = self._whole(self.folder.samples, Many({"id": TEXT}))
        wanted = min(self.shown, len(self.problems))
        if samples is not None and measured is not None and len(samples) not in (0, wanted):
            self.damaged.append(f"{self.folder.samples} holds {len(samples)} problems, expected {wanted}")
        if self.damaged:
            self.damaged[-1] += "; measuring again"
        else:
            self.measured, self.samples = measured or {}, samples or []

    def _whole(self, path: Path, structure: Any) -> Any:
        if not path.is_file():
            return None
        try:
            found = read_plain(path)
            wrong = fault(found, structure)
        except (OSError, Refused) as error:
            found, wrong = None, f"it {error}"
        if wrong is not None:
            self.damaged.append(f"{path} is damaged: {wrong}")
        return None if wrong is not None else found

    def measure(self, moment: str, loaded: LoadedModel) -> None:
        """Greedy, sampled (temperature 1, one sample) and blind (greedy, black images) accuracy at
        `moment`, "before" or "after". A resumed run keeps what it measured before training, and measures
        again after it: the model may have been trained further."""
        if not self.problems or (moment == BEFORE and moment in self.measured):
            return
        greedy = Decoding(self.max_new_tokens, seed=self.seed)
        runs = {
            "greedy": (greedy, None),
            "sampled": (Decoding(self.max_new_tokens, temperature=1.0, seed=self.seed), None),
            "blind": (greedy, Black()),
        }
        answered = {
            mode: answer(loaded, self.task, self.problems, decoding, blind=blind)
            for mode, (decoding, blind) in runs.items()
        }
        self.measured[moment] = {mode: one.accuracy.as_dict() for mode, one in answered.items()}
        rows = scored_samples(loaded, answered["greedy"], self.shown, self.seed)
        if not self.samples:
            self.samples = sample_rows(answered["greedy"], self.shown)
        for row, scored in zip(self.samples, rows, strict=True):
            row[moment] = scored
        write_json(self.folder.samples, self.samples)
        write_json(self.folder.evaluation, self.measured)

    def value(self, moment: str, mode: str) -> Measured | None:
        """What was measured, or None."""
        found = self.measured.get(moment, {}).get(mode)
        return None if found is None else Measured(**found)
