"""A command as one process or as several ranks on this machine, ended together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence


class Ranks:
    """`python COMMAND` as `count` ranks, which gloo connects; what they say is kept in files."""

    def __init__(self, command: Sequence[str], count: int, before: Callable[[], None] | None = None):
        """`before` is called in every new process, before Python starts in it."""
        shared = {**os.environ, "OMP_NUM_THREADS": "1", **(_meeting(count) if count > 1 else {})}
        self._errors = [tempfile.TemporaryFile() for _ in range(count)]  # noqa: SIM115 (as long as the ranks)
        self.processes = [
            subprocess.Popen(
                [sys.executable, *command],
                env={**shared, **({"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {})},
                stdout=subprocess.DEVNULL,
                stderr=self._errors[rank],
                preexec_fn=before,
            )
            for rank in range(count)
        ]

    def errors_of(self, ranks: Iterable[int], seconds: float = 1200) -> str:
        """Standard error of these ranks, once they have ended."""
        said = []
        for rank in ranks:
            try:
                self.processes[rank].wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise SystemExit(f"rank {rank} has not ended after {seconds:g} s") from None
            self._errors[rank].seek(0)
            said.append(self._errors[rank].read().decode(errors="replace"))
        return "".join(said)

    def have_ended(self) -> bool:
        """Whether all have ended well; raise `SystemExit` with what was said if one has ended otherwise."""
        codes = [process.poll() for process in self.processes]
        if any(codes):
            self.kill()
            said = self.errors_of(range(len(self.processes)))
            raise SystemExit(f"a process ended by itself with {codes}:\n{said}")
        return all(code == 0 for code in codes)

    def kill(self) -> None:
        """SIGKILL to all."""
        for process in self.processes:
            process.kill()
            process.wait()

    def finish(self) -> None:
        """Wait until all have ended well."""
        errors = self.errors_of(range(len(self.processes)), 3600)
        if any(process.returncode for process in self.processes):
            raise SystemExit(f"ended with {[one.returncode for one in self.processes]}:\n{errors}")


def _meeting(count: int) -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "ACCELERATE_USE_CPU": "true",
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }
