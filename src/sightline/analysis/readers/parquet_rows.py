"""A few rows of a parquet file that anyone may have written, read by a process that may be lost.

1 kB of parquet can stand for gigabytes, and nothing in the file has to say so. So it is read in a process
that may use 1 GiB of memory (Linux) and some seconds of computing: `read_rows` starts it, `main` is what runs
there, from this file alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

LONGEST = 4000
"""Characters of a text."""
MOST_COLUMNS = 40
MOST_ITEMS = 40
"""Of a list or mapping in a cell."""
_ROWS_AT_ONCE = 16
_MEMORY = 1 << 30
_COMPUTING = 10
_CLOCK = 120.0
_MOST_SAID = 8_000_000


def read_rows(content: bytes, count: int) -> list[dict[str, Any]] | None:
    """Up to `count` rows, spread evenly over the file, texts cut at `LONGEST`; None if they cannot be had."""
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and code)
            [sys.executable, "-P", __file__, str(count)],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_CLOCK,
            check=True,
        )
        rows = json.loads(done.stdout) if len(done.stdout) <= _MOST_SAID else None
    except (OSError, ValueError, RecursionError, subprocess.SubprocessError):
        return None
    return rows if isinstance(rows, list) else None


def main() -> None:
    """Standard input to rows as JSON on standard output."""
    _limit()
    import pyarrow
    from pyarrow import parquet

    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    pyarrow.set_cpu_count(1)
    file = parquet.ParquetFile(pyarrow.BufferReader(sys.stdin.buffer.read()))
    total = file.metadata.num_rows
    count = min(int(sys.argv[1]), total)
    wanted = [place * total // count for place in range(count)]
    chosen = file.schema_arrow.names[:MOST_COLUMNS]
    rows: list[Any] = []
    start = 0
    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=chosen, use_threads=False):
        here = [place - start for place in wanted if start <= place < start + batch.num_rows]
        rows += [_cut(batch.slice(place, 1).to_pylist()[0]) for place in here]
        start += batch.num_rows
        if len(rows) == count:
            break
    json.dump(rows, sys.stdout)


def _limit() -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (_COMPUTING, _COMPUTING))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _cut(value: Any) -> Any:
    """A value as JSON knows it, cut short; what is neither text nor number becomes None."""
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, list):
        return [_cut(part) for part in value[:MOST_ITEMS]]
    if isinstance(value, dict):
        return {str(key)[:LONGEST]: _cut(part) for key, part in list(value.items())[:MOST_ITEMS]}
    return value if isinstance(value, bool | int | float) else None


if __name__ == "__main__":
    main()
