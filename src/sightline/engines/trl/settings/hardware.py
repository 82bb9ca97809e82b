"""Checks for a GPU, vLLM, DeepSpeed, PEFT and trackers, before anything is loaded."""

from __future__ import annotations

import os
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import torch
import torch.distributed as dist
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)

from ....distribution import install
from ....errors import UserError, unknown_name
from ...registry import ENGINES
from ...vllm_versions import check_vllm, installed_vllm

_STARTING = 60
"""Seconds that ranks may start apart from each other, however short `ddp_timeout` is."""


def check_machine(args: Any) -> None:
    """Refuse a run without a GPU that was not meant for the CPU, and a vLLM that TRL does not support.

    Raises:
        UserError: with what to set or install.
    """
    if not args.use_cpu and not torch.accelerator.is_available():
        raise UserError(
            "no GPU was found; to train on the CPU set use_cpu: true and bf16: false, otherwise check that "
            "nvidia-smi lists one and that this torch was built for it"
        )
    if args.use_vllm:
        check_vllm(installed_vllm(), ENGINES["trl"].vllm)
    if args.deepspeed and find_spec("deepspeed") is None:
        raise UserError("deepspeed is set, but DeepSpeed is not installed; pip install deepspeed")


def connect_cpus(args: Any) -> None:
    """Connect the ranks of a run on CPUs within `ddp_timeout`, but no sooner than the slowest starts.

    transformers forgets the time-out there, so that a rank that never comes is waited for half an hour.
    """
    started = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()
    if not args.use_cpu or not started or int(os.environ["WORLD_SIZE"]) == 1 or dist.is_initialized():
        return
    if args.ddp_backend in (None, "gloo") and not dist.is_mpi_available():
        dist.init_process_group("gloo", timeout=timedelta(seconds=max(args.ddp_timeout, _STARTING)))


def check_trackers(names: Any) -> None:
    """Refuse trackers that transformers does not know, or that are not installed.

    Raises:
        UserError: naming what there is, or what to install.
    """
    for name in [names] if isinstance(names, str) else names or ():
        if name not in INTEGRATION_TO_CALLBACK:
            raise unknown_name("tracker in report_to", name, [*INTEGRATION_TO_CALLBACK, "none"])
        if name not in get_available_reporting_integrations():
            raise UserError(
                f"report_to names {name}, which is not installed; pip install {name}, or leave it out: "
                "metrics.jsonl is always written"
            )


def check_peft(model: Any) -> None:
    """Refuse LoRA without peft and QLoRA without bitsandbytes.

    Raises:
        UserError: naming what to install.
    """
    if model.use_peft and find_spec("peft") is None:
        raise UserError(f"use_peft is set, but peft is not installed; {install('lora')}")
    if (model.load_in_4bit or model.load_in_8bit) and find_spec("bitsandbytes") is None:
        raise UserError("quantization needs bitsandbytes, which is not installed; pip install bitsandbytes")
    if (model.load_in_4bit or model.load_in_8bit) and not model.use_peft:
        raise UserError("quantized weights cannot be trained; set use_peft: true to train adapters on them")
