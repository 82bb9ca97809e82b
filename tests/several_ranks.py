"""Several gloo processes on this machine, which end together whatever happens to one of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "Qwen3VLTextDecoderLayer,Qwen3VLVisionBlock",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
}


def run(
    command: Sequence[str], ranks: int, sharding: dict[str, str] | None = None, seconds: float = 300
) -> list[tuple[int, str]]:
    """Exit code and standard error of `python COMMAND` on every rank."""
    processes = start(command, ranks, sharding)
    end = time.monotonic() + seconds
    try:
        while any(process.poll() is None for process in processes):
            failed = any(process.poll() not in (None, 0) for process in processes)
            if time.monotonic() > end or failed:
                time.sleep(5)
                break
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, errors) for process, errors in ((p, p.communicate()[1]) for p in processes)]


def start(
    command: Sequence[str], ranks: int, sharding: dict[str, str] | None = None
) -> list[subprocess.Popen[str]]:
    """The processes of a run, not waited for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        **os.environ,
        **(sharding or {}),
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]),
        "TRANSFORMERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return [
        subprocess.Popen(
            [sys.executable, *command],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
