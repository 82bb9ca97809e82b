"""Sending a run to a hub: the finished `model/` with its card, and checkpoints once they are whole."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..run_folder import RunFolder
from .checkpoints import fault
from .finished_runs import trained_model

_NOT_THE_MODEL = (
    "optimizer*", "scheduler*", "rng_state*", "trainer_state.json", "progress.json", "manifest.json", "run/*",
    "rollouts*", "*.bin", "*.pt", "*.pth",
)  # fmt: skip
"""Files of a checkpoint that only resuming needs."""
_HIDDEN = re.compile(r"<[A-Z_]+>")


class NotSentError(Exception):
    """The hub did not take something; says what and why, in one line."""


@dataclass(frozen=True)
class Hub:
    """A model repository of a hub, and what of a run goes there."""

    repo: str
    strategy: str = "end"
    """TRL's `hub_strategy`: `end` the finished model; `every_save` the weights of every checkpoint too;
    `checkpoint` the last whole checkpoint under last-checkpoint; `all_checkpoints` each under its name."""
    private: bool | None = None
    token: str | None = None
    revision: str | None = None

    def prepare(self) -> Hub:
        """The repository under its full name, made if it is not there.

        Raises:
            NotSentError: the hub cannot be reached, or refuses.
        """
        with _one_line(f"repository {self.repo}"):
            api = self._api()
            name = api.create_repo(self.repo, private=self.private, exist_ok=True).repo_id
            if self.revision is not None:
                api.create_branch(name, branch=self.revision, exist_ok=True)
        return Hub(name, self.strategy, self.private, self.token, self.revision)

    def send_model(self, folder: Path, message: str, *, checkpoint: bool = False) -> None:
        """Put a model's files at the top of the repository.

        Raises:
            NotSentError: the hub cannot be reached, or refuses.
        """
        self._upload(folder, message, ignore_patterns=list(_NOT_THE_MODEL) if checkpoint else None)

    def send_checkpoint(self, checkpoint: Path) -> None:
        """Send what `strategy` asks for of a checkpoint that is whole.

        Raises:
            NotSentError: the hub cannot be reached, or refuses; or the checkpoint is damaged.
        """
        if self.strategy == "end":
            return None
        if why := fault(checkpoint):
            raise NotSentError(f"{checkpoint.name} is not sent: {why}")
        if self.strategy == "every_save":
            return self.send_model(checkpoint, f"Weights of {checkpoint.name}", checkpoint=True)
        place = "last-checkpoint" if self.strategy == "checkpoint" else checkpoint.name
        return self._upload(checkpoint, f"{checkpoint.name}, whole", path_in_repo=place)

    def _upload(self, folder: Path, message: str, **options: Any) -> None:
        with _one_line(str(folder)):
            self._api().upload_folder(
                repo_id=self.repo,
                folder_path=folder,
                commit_message=message,
                revision=self.revision,
                **options,
            )

    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=self.token)


class _one_line:  # noqa: N801
    """What goes wrong with a hub, as `NotSentError`."""

    def __init__(self, what: str):
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

        network = HfHubHTTPError.__bases__  # the base of every error of the HTTP client, whichever it is
        if isinstance(error, (*network, OfflineModeIsEnabled, LocalTokenNotFoundError, OSError, ValueError)):
            why = " ".join(str(error).split())[:300] or type(error).__name__
            raise NotSentError(f"{self.what} could not be sent to the hub: {why}") from error


def hub_of(settings: Mapping[str, Any] | Any, folder: Path) -> Hub:
    """Where the settings of a run, or its config.yaml, send it; the default name is its folder's.

    Raises:
        UserError: the name is none that a hub takes.
    """

    def read(name: str) -> Any:
        found = settings.get(name) if isinstance(settings, Mapping) else getattr(settings, name, None)
        return None if _HIDDEN.fullmatch(str(found)) else found

    repo = str(read("hub_model_id") or folder.absolute().name)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repo):
        raise UserError(f"hub_model_id must be such as `name` or `owner/name`, got {repo}")
    strategy = read("hub_strategy")
    return Hub(
        repo,
        str(getattr(strategy, "value", strategy) or "end"),
        read("hub_private_repo"),
        read("hub_token"),
        read("hub_revision"),
    )


def send_run(hub: Hub, folder: RunFolder, spare: str | None = None) -> str:
    """Send a finished run's model with its card; returns the name of the repository.

    Raises:
        UserError: the run has no trained model yet.
        NotSentError: the hub cannot be reached, or refuses.
    """
    model = trained_model(folder, spare)
    if model is None:
        raise UserError(f"{folder.path} has no trained model yet; finish it with sightline train --resume")
    ready = hub.prepare()
    ready.send_model(model, "The trained model")
    return ready.repo
