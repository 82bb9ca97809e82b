"""What `sightline doctor` looks at: one function a subject, each returning its results."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from ..distribution import install as install_command
from ..distribution import requirement_lines
from ..engines import ENGINES, engine
from ..engines.command_line import chosen_engine
from ..engines.registry import USUAL
from ..engines.vllm_versions import check_vllm
from ..errors import UserError

GOOD, NOTE, BROKEN = "good", "note", "broken"
LEAST_DISK, ROOMY_DISK = 1, 100
"""GiB: below the first not even the embedded model can be saved, below the second no model of 7B."""
TRAINING_SECONDS = 600
HUB_SECONDS = 8
PUBLIC_MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"


@dataclass(frozen=True)
class CheckResult:
    """One line of the report."""

    subject: str
    state: str
    """`good`; `note`: works, but worth knowing; `broken`: training fails until it is repaired."""
    found: str
    advice: str = ""
    """What to do; empty if nothing has to be done."""


# --- versions --------------------------------------------------------------------------------------


def constraints() -> dict[str, str] | None:
    """Library -> version as `constraints.txt` pins them; None where there is no checkout around this file."""
    root = Path(__file__).resolve().parents[3]
    file = root / "constraints.txt"
    if not file.is_file() or not (root / "pyproject.toml").is_file():
        return None
    pins = [line.partition("==") for line in file.read_text(encoding="utf-8").splitlines() if "==" in line]
    return {name.strip().lower(): pinned.strip() for name, _, pinned in pins if not name.startswith("#")}


def requirements() -> list[Requirement]:
    """What Sightline needs wherever it runs, extras left out."""
    found = [Requirement(line) for line in requirement_lines()]
    return [needed for needed in found if needed.marker is None or needed.marker.evaluate({"extra": ""})]


def engine_requirements() -> dict[str, Requirement]:
    """Engine -> the requirement on its library, from the package's extras."""
    found = {}
    for line in requirement_lines():
        needed = Requirement(line)
        for name, facts in ENGINES.items():
            extra = needed.marker is not None and needed.marker.evaluate({"extra": name})
            if extra and needed.name == facts.library:
                found[name] = needed
    return found


def installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def python(found: Sequence[int], needed: str) -> CheckResult:
    """The interpreter against the range that the package states."""
    here = ".".join(map(str, found))
    if Requirement(f"python{needed}").specifier.contains(here, prereleases=True):
        return CheckResult("python", GOOD, here)
    return CheckResult(
        "python", BROKEN, f"{here}, needed {needed}", "make a virtual environment of a newer one"
    )


def libraries(
    tested: Mapping[str, str] | None, needed: Iterable[Requirement], installed: Callable[[str], str | None]
) -> list[CheckResult]:
    """Every needed library within its range, then the whole set against the tested one."""
    results = []
    for requirement in needed:
        found = installed(requirement.name)
        if found is None:
            state = "not installed"
        elif requirement.specifier.contains(found, prereleases=True):
            continue
        else:
            state = f"{found}, needed {requirement.specifier}"
        advice = f"pip install '{requirement.name}{requirement.specifier}'"
        results.append(CheckResult(requirement.name, BROKEN, state, advice))
    if not results:
        results.append(CheckResult("libraries", GOOD, "all that is needed, in the versions that are needed"))
    return [*results, _against_tested(tested, installed)]


def _against_tested(tested: Mapping[str, str] | None, installed: Callable[[str], str | None]) -> CheckResult:
    if tested is None:
        return CheckResult(
            "tested set",
            NOTE,
            "Sightline is installed without its checkout, so there is no constraints.txt to compare with",
            "if numbers or errors look odd, install with the constraints.txt of the release",
        )
    here = {name: found for name in tested if (found := installed(name)) is not None}
    other = [f"{n} {v} (tested: {tested[n]})" for n, v in here.items() if not _same(v, tested[n])]
    if not other:
        return CheckResult("tested set", GOOD, f"{len(here)} libraries in the tested versions")
    shown = ", ".join(other[:6]) + (f" and {len(other) - 6} more" if len(other) > 6 else "")
    advice = "pip install -c constraints.txt -e . takes the tested versions"
    return CheckResult("tested set", NOTE, f"{len(other)} of {len(here)} libraries differ: {shown}", advice)


def _same(found: str, tested: str) -> bool:
    """Equal but for a local build, such as torch's +cu128."""
    return Version(found).public == Version(tested).public


# --- the machine -----------------------------------------------------------------------------------


def gpus() -> list[CheckResult]:
    """Every GPU that torch can compute on, or why there is none."""
    import torch

    if not torch.cuda.is_available():
        return [_no_gpu(torch.__version__, torch.version.cuda, torch.accelerator.is_available())]
    results = []
    for index in range(torch.cuda.device_count()):
        card: Any = torch.cuda.get_device_properties(index)
        torch.ones(8, device=f"cuda:{index}").sum().item()
        size = f"{card.total_memory / 2**30:.0f} GiB"
        found = f"{card.name}, {size}, capability {card.major}.{card.minor}, torch {torch.__version__}"
        if card.major >= 8:
            results.append(CheckResult(f"GPU {index}", GOOD, found))
        else:
            results.append(CheckResult(f"GPU {index}", NOTE, f"{found}: no bfloat16", "set bf16: false"))
    return results


def _no_gpu(torch_version: str, cuda: str | None, other: bool) -> CheckResult:
    if other:
        return CheckResult(
            "GPU", NOTE, f"no CUDA; torch {torch_version} has another accelerator, never tried"
        )
    if cuda is not None:
        found = f"none is visible, though torch {torch_version} is built for CUDA {cuda}"
        advice = "see whether nvidia-smi lists one, and what CUDA_VISIBLE_DEVICES says"
    else:
        found = f"none; torch {torch_version} is built for the CPU"
        advice = "the embedded model trains like this (use_cpu: true); others want a GPU and a torch for CUDA"
    return CheckResult("GPU", NOTE, found, advice)


def flash_attention() -> CheckResult:
    """Optional everywhere; only one that is installed and broken is worth a word."""
    if find_spec("flash_attn") is None:
        return CheckResult("flash-attn", GOOD, "not installed and not needed: torch's own attention is used")
    try:
        found = importlib.import_module("flash_attn").__version__
    except Exception as error:
        what = f"installed, but cannot be imported: {error}"
        return CheckResult("flash-attn", NOTE, what, "pip uninstall flash-attn, or build it for this torch")
    return CheckResult("flash-attn", GOOD, f"{found}; attn_implementation: flash_attention_2 uses it")


def vllm(found: str | None) -> CheckResult:
    """Within the range that the engine supports; not having it is no fault."""
    name = usual_engine()
    low, high = supported = ENGINES[name].vllm
    install = f"pip install 'vllm>={low},<={high}'"
    if found is None:
        what = "not installed; rollouts run on transformers' generate, several times slower"
        return CheckResult("vLLM", NOTE, what, f"{install}, for models of 3B and more")
    try:
        check_vllm(found, supported)
    except UserError:
        return CheckResult(
            "vLLM", NOTE, f"{found}, {name} supports {low} to {high}; sampling with it fails", install
        )
    return CheckResult("vLLM", GOOD, found)


def engines(needed: Mapping[str, Requirement], installed: Callable[[str], str | None]) -> list[CheckResult]:
    """Each engine's library; one of them is enough, and verl cannot start beside trl 1.x."""
    found = {name: installed(requirement.name) for name, requirement in needed.items()}
    none = not any(found.values())
    results = []
    for name, requirement in needed.items():
        subject, here, install = f"engine {name}", found[name], install_command(name)
        if here is None:
            results.append(CheckResult(subject, BROKEN if none else NOTE, "not installed", install))
        elif not requirement.specifier.contains(here, prereleases=True):
            wrong = f"{requirement.name} {here}, needed {requirement.specifier}"
            results.append(CheckResult(subject, BROKEN, wrong, install))
        elif name == "verl" and Version(found.get("trl") or "0") >= Version("1"):
            advice = "give each engine an environment of its own"
            results.append(
                CheckResult(subject, NOTE, f"verl {here} cannot start beside trl {found['trl']}", advice)
            )
        else:
            results.append(CheckResult(subject, GOOD, f"{requirement.name} {here}"))
    return results


def usual_engine() -> str:
    """The engine whose training is tried: the usual one, or another where it is not installed."""
    here = [name for name, facts in ENGINES.items() if installed_version(facts.library) is not None]
    return USUAL if USUAL in here or not here else here[0]


def disk(subject: str, folder: Path) -> CheckResult:
    """Room and permission to write where a run or a download goes."""
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        what = f"cannot write to {folder}: {error.strerror}"
        return CheckResult(subject, BROKEN, what, "change its permissions, or work in another folder")
    return room(subject, folder, shutil.disk_usage(folder).free / 2**30)


def room(subject: str, folder: Path, free: float) -> CheckResult:
    """Free space, GiB, against what checkpoints take."""
    found = f"{free:,.0f} GiB free in {folder}"
    if free < LEAST_DISK:
        return CheckResult(subject, BROKEN, found, f"free at least {LEAST_DISK} GiB")
    if free < ROOMY_DISK:
        advice = "enough for the embedded model and LoRA; a checkpoint of a 7B model takes 93 GiB"
        return CheckResult(subject, NOTE, found, advice)
    return CheckResult(subject, GOOD, found)


def hub_cache() -> Path:
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME)


def hub(seconds: float = HUB_SECONDS) -> CheckResult:
    """Whether a public model can be asked for, without any login."""
    from huggingface_hub import HfApi
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    advice = "the embedded model needs no hub; fetch others elsewhere (hf download) and name their folder"
    if HF_HUB_OFFLINE:
        return CheckResult("hub", NOTE, "switched off by HF_HUB_OFFLINE", advice)
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(HfApi(token=False).model_info(PUBLIC_MODEL, timeout=seconds))
        except Exception as error:
            answers.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    if not answers:
        return CheckResult("hub", NOTE, f"{ENDPOINT} gave no answer within {seconds:g} s", advice)
    if isinstance(answers[0], Exception):
        reason = (str(answers[0]).strip() or type(answers[0]).__name__).splitlines()[0]
        return CheckResult("hub", NOTE, f"{ENDPOINT} is out of reach: {reason}", advice)
    return CheckResult("hub", GOOD, f"{ENDPOINT} answers")


def prompt_sharing(config: str | None = None) -> CheckResult:
    """How much of the prompts a run's batch sizes save, those of the training below by default."""
    import torch

    flags = ["--config", config] if config is not None else _words(_TRAINING)
    device = [] if torch.accelerator.is_available() else ["--use_cpu", "--bf16", "false"]
    try:
        chosen = engine(chosen_engine(flags) or usual_engine())
        words = chosen.parse([*flags, *device]).describe_sharing()
    except UserError as error:
        return CheckResult("sharing", BROKEN, str(error), "repair the settings")
    found, _, advice = words.removeprefix("share_prompts: ").partition("; ")
    return CheckResult("sharing", NOTE if advice else GOOD, found, advice)


# --- a training ------------------------------------------------------------------------------------


_TRAINING = {
    "model": "embedded",
    "task": "shapes",
    "method": "vgpo",
    "max_steps": 2,
    "per_device_train_batch_size": 16,
    "num_generations": 8,
    "max_completion_length": 40,
    "eval_problems": 0,
    "save_strategy": "no",
}


def _words(flags: Mapping[str, Any]) -> list[str]:
    return [str(word) for name, value in flags.items() for word in (f"--{name}", value)]


def training(more: Sequence[str] = ()) -> CheckResult:
    """Two optimizer steps of VGPO on the embedded model, in a process and a folder of their own."""
    import torch

    device = [] if torch.cuda.is_available() else ["--use_cpu", "true", "--bf16", "false"]
    with tempfile.TemporaryDirectory(prefix="sightline-doctor-") as folder:
        run = Path(folder) / "run"
        words = ["--engine", usual_engine(), *_words(_TRAINING), "--output_dir", str(run)]
        command = [sys.executable, "-m", "sightline", "train", *words, *device, *more]
        started = time.perf_counter()
        try:
            done = subprocess.run(  # noqa: S603 (our own program)
                command, capture_output=True, text=True, timeout=TRAINING_SECONDS, cwd=folder, env=_alone()
            )
        except subprocess.TimeoutExpired:
            what = f"two steps of the embedded model were not over after {TRAINING_SECONDS} s"
            return CheckResult(
                "training", BROKEN, what, "set OMP_NUM_THREADS to the number of cores, or fewer"
            )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or ["nothing was said"]
            return CheckResult("training", BROKEN, f"failed: {said[-1]}", f"run it alone: {_shown(command)}")
        return _trained(run / "metrics.jsonl", time.perf_counter() - started)


def _trained(metrics: Path, seconds: float) -> CheckResult:
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    measured = [(row.get("loss"), row.get("grad_norm")) for row in rows]  # NaN is written as null
    if len(rows) == 2 and all(None not in pair for pair in measured) and any(norm for _, norm in measured):
        return CheckResult(
            "training", GOOD, f"two steps of VGPO on the embedded model, {seconds:.0f} s in all"
        )
    what = f"two steps were asked for; their losses and gradient norms are {measured}"
    return CheckResult(
        "training", BROKEN, what, "please report this with the output of sightline doctor --json"
    )


def _shown(command: Sequence[str]) -> str:
    return " ".join(["sightline", *command[3:]])


def _alone() -> dict[str, str]:
    """The environment without a launcher's ranks: the training is one process."""
    ranks = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return {name: value for name, value in os.environ.items() if name not in ranks}
