"""Text files that are not UTF-8, refused by the name of their encoding."""

from __future__ import annotations

from pathlib import Path

from ...errors import UserError

_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip


def refuse_other_encodings(file: str | Path) -> None:
    """Say so if a file's mark, or the zeros between its letters, show UTF-16 or UTF-32.

    Raises:
        UserError: they do, or the file cannot be read.
    """
    try:
        with open(file, "rb") as opened:
            head = opened.read(64)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    name = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if name is None and len(head) > 4 and (not any(head[0:16:2]) or not any(head[1:16:2])):
        name = "UTF-16"
    if name is not None:
        raise UserError(
            f"{file} is {name} text; expected UTF-8. Convert it: iconv -f {name} -t UTF-8 {file} > new-file"
        )
