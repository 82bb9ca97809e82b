"""A task's problems as the rows verl samples from."""

from __future__ import annotations

import os
from typing import Any

from torch.utils.data import Dataset

from ....models.prompt_lengths import token_counter
from ....tasks import DataOptions, load_task
from ....tasks.prompt_length_filter import fitting
from ....tasks.reward_columns import ours, with_row
from ...image_placeholders import without_forged_images
from .messages import shown_images, with_images

TRAIN, TEST = "train", "test"
"""What stands for files in verl's configuration: which problems of the task."""


class TaskRows(Dataset):
    """verl's dataset of a Sightline task; verl makes it in the process of its trainer.

    A row's `raw_prompt` holds its images as PNG. `extra_info` says which problem it is, how many images it
    shows, and why it must not be trained on, if so.
    """

    def __init__(
        self, data_files: Any, tokenizer: Any, processor: Any, config: Any, max_samples: int = -1
    ) -> None:
        asked = config[KEY]
        os.chdir(asked["directory"])  # where the command runs, so that relative paths are the user's
        self.task = load_task(_plain(asked["task"]), DataOptions(**_plain(asked["options"])))
        self.placeholders, self.whole_rows = list(asked["placeholders"]), bool(asked["whole_rows"])
        if data_files == TEST and asked["eval_problems"]:
            self.problems = self.task.test(asked["eval_problems"], 0)
        elif data_files == TEST:  # verl wants a row also where it measures none, and a task may hold none out
            self.problems = self.task.train(1, asked["seed"])
        else:
            self.problems = self.task.train(asked["limit"], asked["seed"])
            longest = asked["max_prompt_length"]
            if longest is not None:
                self.problems = fitting(self.task, self.problems, token_counter(processor), longest)

    def __len__(self) -> int:
        return len(self.problems)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One problem in verl's columns."""
        problem = self.problems[index]
        messages, unusable = without_forged_images(self.task.messages(problem), self.placeholders)
        info = {"id": problem.id, "kind": problem.kind, "images": len(problem.images), "unusable": unusable}
        told = {name: value for name, value in ours(problem).items() if name != "images"}  # of raw_prompt
        gold = {"ground_truth": problem.answer, "choices": problem.choices}
        return {
            "raw_prompt": with_images(messages, problem.images),
            "data_source": self.task.name,
            "reward_model": gold,
            TOLD: with_row(told, problem.columns if self.whole_rows else {}),
            "extra_info": info,
            "index": index,
        }

    @classmethod
    async def process_multi_modal_info(
        cls, messages: list[dict[str, Any]], image_patch_size: int, config: Any
    ) -> tuple[list[Any] | None, None, None]:
        """The images of a chat as they are: whatever resizes them is the model's own processor."""
        return shown_images(messages) or None, None, None


KEY = "sightline"
"""The part of verl's data configuration that is ours."""
TOLD = "sightline_reward_columns"
"""Column of what rewards are told of a row, its images aside."""


def _plain(value: Any) -> Any:
    from omegaconf import OmegaConf  # pyright: ignore[reportMissingImports]

    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
