"""Transformers' callbacks through which a TRL training tells its watchers and hears a signal to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from ..hub_upload import Hub, NotSentError
from ..progress import CleanStop, Moment, Watcher


class WatcherCallback(TrainerCallback):
    """Calls the watchers of a run in order."""

    def __init__(self, watchers: Sequence[Watcher]):
        self.watchers = watchers

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **event: Any) -> None:
        for watcher in self.watchers:
            watcher.begin(_moment(state, event))

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **event: Any) -> None:
        for watcher in self.watchers:
            watcher.step_begins(_moment(state, event))

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **event: Any) -> None:
        for watcher in self.watchers:
            watcher.step_ends(_moment(state, event))
        if control.should_save or control.should_evaluate:
            control.should_log = True  # so that no number waits to be logged when a run is resumed

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **event: Any
    ) -> None:
        for watcher in self.watchers:
            watcher.logged(_moment(state, event), logs or {})

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **event: Any) -> None:
        for watcher in self.watchers:
            watcher.end(_moment(state, event))


def _moment(state: TrainerState, event: dict[str, Any]) -> Moment:
    return Moment(
        step=state.global_step,
        steps=state.max_steps,
        main=state.is_world_process_zero,
        tokens=float(state.num_input_tokens_seen),
        model=event.get("model"),
    )


class HubCallback(TrainerCallback):
    """Sends each checkpoint, once it is whole, as `hub_strategy` says; what is not taken is said."""

    def __init__(self, hub: Hub, say: Callable[[str], None]):
        self.hub, self.say = hub, say

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        try:
            self.hub.send_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}")
        except NotSentError as error:
            self.say(str(error))


class StopCallback(TrainerCallback):
    """Saves and ends training after the step in which a signal came."""

    def __init__(self, stop: CleanStop):
        self.stop = stop

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.stop.listen(state.is_world_process_zero)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.stop.wanted():
            control.should_training_stop = control.should_save = True

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.stop.restore()
