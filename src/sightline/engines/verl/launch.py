"""Starts verl: its configuration, the environment of its processes, and the wait for its end."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...plain_files import Refused, parse_json
from ...run_folder import RunFolder
from ..checkpoints import StoppedError
from ..disk_space import trouble
from ..progress import CleanStop, Moment, Watcher
from .causes import cause_of
from .run_signals import FailedError, RunSignals
from .settings.cluster import NO_CLUSTER

_POLL_SECONDS = 0.3
_LAST_WORDS = 20.0
"""Seconds that verl has to end by itself after one of its processes failed."""
FREEZE_VISION = "SIGHTLINE_FREEZE_VISION"
"""Set where the vision tower is frozen, since an engine of verl's does not see the actor's configuration."""
PLUGIN, CPU_PLATFORM = "sightline.engines.verl.plugin", "sightline.engines.verl.cpu.platform"


def environment(use_cpu: bool) -> dict[str, str]:
    """What every process of the run needs before it imports verl; without it verl takes its own engine."""
    modules, found = [PLUGIN], {"TOKENIZERS_PARALLELISM": "false"}
    given = os.environ.get("VERL_USE_EXTERNAL_MODULES", "").split(",")
    if use_cpu:
        modules.insert(0, CPU_PLATFORM)
        found |= {"VERL_PLATFORM": "cpu", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    modules += [name for name in given if name and name not in (PLUGIN, CPU_PLATFORM)]  # the user's own
    found |= {"VERL_USE_EXTERNAL_MODULES": ",".join(modules), "VERL_ENGINE_VENDOR": "sightline"}
    for name in ("PYTHONPATH", "HF_HUB_OFFLINE", "HF_HOME", "HF_TOKEN", "WANDB_API_KEY"):
        if name in os.environ:
            found[name] = os.environ[name]
    return found


def compose(
    overrides: Sequence[str],
    sections: Mapping[str, Any],
    variables: Mapping[str, str],
    address: str | None,
) -> Any:
    """verl's configuration under these overrides, with our two sections in it.

    Raises:
        UserError: verl refuses an override, or one asks for what the engine cannot do.
    """
    from hydra import compose as hydra_compose  # pyright: ignore[reportMissingImports]
    from hydra import initialize_config_module  # pyright: ignore[reportMissingImports]
    from hydra.errors import HydraException  # pyright: ignore[reportMissingImports]
    from omegaconf import open_dict  # pyright: ignore[reportMissingImports]
    from omegaconf.errors import OmegaConfBaseException  # pyright: ignore[reportMissingImports]
    from verl.utils.config import validate_config  # pyright: ignore[reportMissingImports]

    try:
        with initialize_config_module("verl.trainer.config", version_base=None):
            config = hydra_compose("ppo_trainer", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"verl refuses its settings: {' '.join(str(error).split())[:500]}") from error
    with open_dict(config):
        config.sightline = dict(sections["sightline"])
        config.data.sightline = dict(sections["data"])
        frozen = {FREEZE_VISION: "1"} if config.actor_rollout_ref.actor.freeze_vision_tower else {}
        config.ray_kwargs.ray_init.runtime_env.env_vars = {**variables, **frozen}
        config.ray_kwargs.ray_init.logging_level = "error"
        if address is None:
            config.ray_kwargs.ray_init._node_ip_address = "127.0.0.1"  # all of Ray's ports on loopback
        else:
            config.ray_kwargs.ray_init.address = address
            for name in ("num_cpus", "num_gpus", "object_store_memory"):
                config.ray_kwargs.ray_init.pop(name, None)
    check_composed(config)
    if config.trainer.test_freq > 0 and sections["data"].get("eval_problems") == 0:
        raise UserError("trainer.test_freq measures held-out problems, of which eval_problems: 0 leaves none")
    try:
        reference = bool(config.actor_rollout_ref.actor.use_kl_loss)
        with redirect_stdout(io.StringIO()):
            validate_config(config=config, use_reference_policy=reference, use_critic=False)
    except (AssertionError, ValueError) as error:
        raise UserError(f"verl refuses its settings: {' '.join(str(error).split())[:500]}") from error
    return config


def check_composed(config: Any) -> None:
    """Refuse what overrides behind `--` may ask for and this engine cannot do.

    Raises:
        UserError: naming verl's key.
    """
    actor, model = config.actor_rollout_ref.actor, config.actor_rollout_ref.model
    size = actor.fsdp_config.ulysses_sequence_parallel_size
    refused = {
        "actor_rollout_ref.model.use_fused_kernels": (
            model.use_fused_kernels,
            "it leaves no logits to score",
        ),
        "actor_rollout_ref.actor.strategy": (
            actor.strategy not in ("fsdp", "fsdp2"),
            "the engine is FSDP2's",
        ),
        "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size": (size > 1, "it must be 1"),
        "actor_rollout_ref.model.lora.merge": (
            model.lora_rank > 0 and not model.lora.merge,
            "adapters are merged for the sampler and for model/; set use_peft and lora_r, or merge to True",
        ),
        "trainer.use_v1": (not config.trainer.use_v1, "it must be True"),
        "trainer.v1.trainer_mode": (config.trainer.v1.trainer_mode != "sightline", "it must be sightline"),
    }
    for key, (asked, why) in refused.items():
        if asked:
            raise UserError(f"{key} cannot be changed on the verl engine: {why}")


def run(
    config: Any,
    folder: RunFolder,
    stop: CleanStop,
    watch: Watcher,
    moment: Moment,
    say: Callable[[str], None],
) -> None:
    """Run verl to its end, following it through the run's folder; Ray is shut down afterwards.

    Raises:
        UserError: the first failure was the user's mistake, such as in a reward.
        StoppedError: a process died, or the trainer gave up.
        FailedError: anything else.
    """
    import ray  # pyright: ignore[reportMissingImports]

    signals = RunSignals(folder.path)
    follow = _Follower(folder.metrics, signals, watch, moment, say)
    watch.begin(moment)
    with _others_to(folder.log) as quiet:
        running = _Running(config)
        try:
            _wait(running, signals, stop, follow)
        finally:
            follow.look()
            watch.end(follow.now)
            with quiet():
                ray.shutdown()
    _raise_failure(running.error, signals, folder.path)


def _wait(running: _Running, signals: RunSignals, stop: CleanStop, follow: _Follower) -> None:
    failed = None
    while running.is_alive():
        running.join(_POLL_SECONDS)
        follow.look()
        if stop.wanted() and not signals.stop_wanted():
            signals.ask_to_stop()
        if signals.failure() is not None:
            failed = failed or time.monotonic()
            if time.monotonic() - failed > _LAST_WORDS:
                return


def _raise_failure(error: BaseException | None, signals: RunSignals, folder: Path) -> None:
    from ray.exceptions import RayActorError, WorkerCrashedError  # pyright: ignore[reportMissingImports]

    found = signals.failure()
    if found is not None:
        if found["kind"] == "user":
            raise UserError(found["text"]) from error
        if found["kind"] == "stopped":
            raise StoppedError(found["text"], folder, *filter(None, [found["advice"]])) from error
        raise FailedError(f"{found['text']}\n{found['traceback']}") from error
    if error is None:
        return
    cause: Any = cause_of(error)
    if disk := trouble(cause, folder):
        raise StoppedError(disk, folder) from error
    if isinstance(cause, UserError):
        raise UserError(str(cause)) from error
    if isinstance(cause, (RayActorError, WorkerCrashedError)):
        what = " ".join(str(cause).split())[:600]
        raise StoppedError(f"a process of verl died: {what}", folder) from error
    if isinstance(cause, ConnectionError):
        raise UserError(NO_CLUSTER.format(where="")) from error
    if "timed out during startup" in str(cause):  # Ray waits for half a minute
        raise StoppedError(
            "Ray did not start within its time, as happens on a machine that is too busy",
            folder,
            "start again, with --resume, when there is less to do",
        ) from error
    if "less than total desired GPUs" in str(cause):
        raise UserError(
            f"the Ray cluster is too small for nnodes x n_gpus_per_node: {' '.join(str(cause).split())[:300]}"
        ) from error
    raise error


class _Running(threading.Thread):
    """verl's own `run_ppo` beside this thread, which stays free for signals."""

    def __init__(self, config: Any):
        super().__init__(name="verl", daemon=True)
        self.config = config
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        from verl.trainer.main_ppo import TaskRunnerV1, run_ppo  # pyright: ignore[reportMissingImports]

        logging.getLogger("ray").setLevel(logging.ERROR)
        try:
            run_ppo(self.config, TaskRunnerV1)
        except BaseException as error:
            self.error = error


class _Follower:
    """Reads what the trainer writes, and shows it."""

    def __init__(
        self, metrics: Path, signals: RunSignals, watch: Watcher, now: Moment, say: Callable[[str], None]
    ):
        self.metrics, self.signals, self.watch, self.now, self.say = metrics, signals, watch, now, say
        self._said, self._place = 0, 0

    def look(self) -> None:
        """Show what is new."""
        for line in self.signals.lines(self._said):
            self._said += 1
            self.say(line)
        for row in self._rows():
            self.now = Moment(
                step=int(row["step"]), steps=self.now.steps, tokens=float(row.get("num_tokens") or 0.0)
            )
            self.watch.step_ends(self.now)
            self.watch.logged(self.now, row)

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Whole lines of steps after those that were seen."""
        if not self.metrics.is_file():
            return
        with self.metrics.open("rb") as file:
            text = file.read()
        if len(text) < self._place:
            self._place = 0  # a resumed run drops the lines of steps it does again
        end = text.rfind(b"\n") + 1
        fresh, self._place = text[self._place : end], max(end, self._place)
        for line in fresh.splitlines():
            try:
                row = parse_json(line.decode("utf-8", "replace"))
            except Refused:
                continue  # said when the run is resumed
            if row["step"] > self.now.step:
                yield row


class _Others(io.TextIOBase):
    """A stream for all threads: what the main thread writes is shown, the rest goes to a file."""

    def __init__(self, shown: Any, file: Any):
        self.shown, self.file = shown, file
        self.quiet = False
        """Whether the main thread's words go to the file too."""

    def _stream(self) -> Any:
        ours = threading.current_thread() is threading.main_thread()
        return self.shown if ours and not self.quiet else self.file

    def write(self, text: str) -> int:
        return self._stream().write(text)

    def flush(self) -> None:
        self._stream().flush()

    def isatty(self) -> bool:
        return self.shown.isatty()

    def fileno(self) -> int:
        return self.shown.fileno()


@contextmanager
def _others_to(log: Path) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """What Ray and verl print goes to the run's log; also what they print in this thread, under `quiet`."""
    before = sys.stdout, sys.stderr
    with log.open("a", encoding="utf-8", errors="replace") as file:
        streams = [_Others(stream, file) for stream in before]

        @contextmanager
        def quiet() -> Iterator[None]:
            for stream in streams:
                stream.quiet = True
            yield
            for stream in streams:
                stream.quiet = False

        sys.stdout, sys.stderr = streams
        try:
            yield quiet
        finally:
            sys.stdout, sys.stderr = before
