"""Images of a dataset row: from whatever a cell holds to an upright RGB image, with every refusal named.

The bytes are hostile until shown otherwise: only raster formats are opened (none that runs a
program), the size is read from the header and bounded before a pixel is decoded, and whatever a
decoder raises makes the row unusable, never the run.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ...plain_files import Refused, parse_json
from ...views import with_original
from ..loading.downloads import download
from ..upright_images import ORIENTATION, upright_rgb
from .row_errors import Fault, UnusableRow

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""What is opened (AVIF where PIL was built with it); anything else is damaged to us."""

MOST_PIXELS = 89_478_485
"""Largest width x height, PIL's own bound: where PIL warns, we refuse."""

MOST_BYTES = 256 * 2**20
"""Largest encoded image."""

THINNEST = 200
"""Largest ratio of the sides; the Qwen processors raise beyond it."""

_TURNED_BY = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})
"""Header entries that can say an image is stored on its side."""

_BASE64 = re.compile(r"[A-Za-z0-9+/\s_-]{48,}={0,2}\s*")


@dataclass(frozen=True)
class Origin:
    """What a cell may refer to: files under `folder` (none if None), addresses if `allow_urls`."""

    folder: Path | None = None
    allow_urls: bool = False


def values(cell: Any) -> list[Any]:
    """The images a cell stands for: one, or a list of them (also as JSON text, for CSV files).

    Raises:
        UnusableRow: the cell or a member of the list is null. An empty list is a row without images.
    """
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = parse_json(cell)
        except Refused as error:
            raise UnusableRow(Fault.WRONG_TYPE, f"a list of images that {error}") from error
    found = list(cell) if is_list(cell) else [cell]
    if missing := [place for place, value in enumerate(found) if _is_missing(value)]:
        what = "null" if len(found) == 1 else f"number {missing[0] + 1} of {len(found)} is null"
        raise UnusableRow(Fault.MISSING_IMAGE, what)
    return found


def is_list(cell: Any) -> bool:
    """Whether a cell holds several images, or none, and not one."""
    return isinstance(cell, list | tuple | np.ndarray)


def _is_missing(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("bytes") is None and not value.get("path")
    return value is None or value == ""


def decode(value: Any, origin: Origin) -> Image.Image:
    """The image behind a value: upright, RGB, transparency laid on white, 16 bits brought to 8.

    Accepted are a PIL image, bytes, `{bytes, path}`, a path under the set's folder, base64 (with or
    without `data:image/...;base64,`), and an address if `origin` allows it.

    Raises:
        UnusableRow: there is no sound image of acceptable size behind it.
    """
    source = _content(value, origin)
    if isinstance(source, Image.Image):
        image = source
        _check_size(*image.size)
    else:
        _whole(source)
        image = _opened(source)
    try:
        return upright_rgb(image)
    except Exception as error:  # decoders raise anything on hostile bytes
        raise _damage(error) from error


def inspect(value: Any, origin: Origin) -> tuple[int, int]:
    """Width and height, after every check that needs no decoded pixel; addresses are not followed.

    The header is read and the container is walked (PNG checksums, the end marks of JPEG and WEBP);
    rarer formats are decoded. An address counts as (0, 0).

    Raises:
        UnusableRow: as `decode`.
    """
    if isinstance(value, str) and _is_address(value) and origin.allow_urls:
        return 0, 0
    source = _content(value, origin)
    if isinstance(source, Image.Image):
        _check_size(*source.size)
        return source.size
    return _whole(source)


def within_budget(size: tuple[int, int], min_pixels: int | None, max_pixels: int | None) -> tuple[int, int]:
    """The size an image is given for a budget of pixels, ratio kept, as the papers' code does it.

    Before the model's processor rounds to its patches, both sides are multiplied by sqrt(bound / area) and
    cut to whole pixels: first by `max_pixels` if the area is above it, then by `min_pixels` if below. An
    enlarged image may so stay short of `min_pixels` by less than one row and one column.
    """
    width, height = size
    if max_pixels is not None and width * height > max_pixels:
        scale = math.sqrt(max_pixels / (width * height))
        width, height = max(1, int(width * scale)), max(1, int(height * scale))
        if width * height > max_pixels:  # a side was raised to 1
            width, height = min(width, max_pixels), min(height, max_pixels)
    if min_pixels is not None and 0 < width * height < min_pixels:
        scale = math.sqrt(min_pixels / (width * height))
        width, height = max(1, int(width * scale)), max(1, int(height * scale))
    return width, height


def resized(image: Image.Image, min_pixels: int | None, max_pixels: int | None) -> Image.Image:
    """The image within its pixel budget; bicubic, untouched if it already is."""
    size = within_budget(image.size, min_pixels, max_pixels)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def shown(value: Any, origin: Origin, min_pixels: int | None, max_pixels: int | None) -> Image.Image:
    """The image behind a value within its pixel budget, which can still be read as it was stored.

    Raises:
        UnusableRow: as `decode`.
    """
    stored = decode(value, origin)
    image = resized(stored, min_pixels, max_pixels)
    if image is stored:
        return image
    fetched = isinstance(value, str) and _is_address(value)  # not to be fetched twice
    return with_original(image, (lambda: stored) if fetched else partial(decode, value, origin))


# --- from a value to bytes -------------------------------------------------------------------------


def _content(value: Any, origin: Origin) -> bytes | Image.Image:
    if isinstance(value, dict):
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, Image.Image):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return _from_text(value, origin)
    raise UnusableRow(Fault.WRONG_TYPE, f"an image cannot be {type(value).__name__}")


def _from_text(text: str, origin: Origin) -> bytes:
    if text.startswith("data:"):
        head, _, body = text.partition(",")
        if not head.endswith(";base64"):
            raise UnusableRow(Fault.DAMAGED_IMAGE, "a data: address that is not base64")
        return _from_base64(body)
    if _is_address(text):
        if not origin.allow_urls:
            raise UnusableRow(Fault.REFUSED_ADDRESS, f"{text[:80]}; set allow_urls to follow addresses")
        return download(text, MOST_BYTES)
    if _BASE64.fullmatch(text):
        return _from_base64(text)
    return _from_file(text, origin.folder)


def _is_address(text: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()).replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnusableRow(Fault.DAMAGED_IMAGE, f"not base64: {error}") from error


def _from_file(path: str, folder: Path | None) -> bytes:
    """Read a regular file under `folder`; links are followed first, so none leads out."""
    if folder is None:
        raise UnusableRow(
            Fault.OUTSIDE_PATH, f"{path[:80]!r} is a file; say where such files lie with image_dir"
        )
    try:
        root = folder.resolve()
        target = (root / path).resolve()
        if not target.is_relative_to(root):
            raise UnusableRow(
                Fault.OUTSIDE_PATH,
                f"{path[:80]!r} leads out of {folder}; if it may, name the folder that all images lie in as "
                "image_dir of the task",
            )
        if not target.is_file():
            raise UnusableRow(Fault.MISSING_IMAGE, f"no file {path[:80]!r} in {folder}")
        if target.stat().st_size > MOST_BYTES:
            raise UnusableRow(Fault.DECOMPRESSION_BOMB, f"{path[:80]!r} has more than {MOST_BYTES} bytes")
        return target.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:
        raise UnusableRow(Fault.MISSING_IMAGE, f"cannot read {path[:80]!r}: {error}") from error


# --- from bytes to an image ------------------------------------------------------------------------


def _whole(data: bytes) -> tuple[int, int]:
    """Width and height as shown, once header and container are seen to be whole."""
    image = _opened(data)
    _check_size(*image.size)
    try:
        turned = _TURNED_BY & image.info.keys() and image.getexif().get(ORIENTATION, 1) >= 5
        if image.format == "PNG":
            image.verify()  # checksums and end mark
        elif not (
            (image.format in ("JPEG", "MPO") and b"\xff\xd9" in data[-4096:])
            or (image.format == "WEBP" and int.from_bytes(data[4:8], "little") + 8 <= len(data))
        ):
            return ImageOps.exif_transpose(image).size  # decodes
    except Exception as error:  # decoders raise anything on hostile bytes
        raise _damage(error) from error
    return (image.height, image.width) if turned else image.size


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise UnusableRow(Fault.ZERO_SIZE, "0 bytes")
    try:
        return Image.open(io.BytesIO(data), formats=_formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableRow(Fault.DECOMPRESSION_BOMB, str(error).split(",")[0]) from error
    except UnidentifiedImageError as error:
        if data[:8] == b"\x89PNG\r\n\x1a\n" and b"\0\0\0\0" in (data[16:20], data[20:24]):
            raise UnusableRow(Fault.ZERO_SIZE, "a PNG without width or height") from error
        raise UnusableRow(Fault.DAMAGED_IMAGE, f"{len(data)} bytes that are no known image") from error
    except Exception as error:  # decoders raise anything on hostile bytes
        raise _damage(error) from error


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise UnusableRow(Fault.ZERO_SIZE, f"{width}x{height}")
    if width * height > MOST_PIXELS:
        raise UnusableRow(Fault.DECOMPRESSION_BOMB, f"{width}x{height} is over {MOST_PIXELS} pixels")
    if max(width, height) > THINNEST * min(width, height):
        raise UnusableRow(Fault.THIN_IMAGE, f"{width}x{height}, sides differ more than {THINNEST} times")


def _damage(error: Exception) -> UnusableRow:
    truncated = "truncat" in str(error).lower()
    fault = Fault.TRUNCATED_IMAGE if truncated else Fault.DAMAGED_IMAGE
    return UnusableRow(fault, f"{type(error).__name__}: {error}"[:200])
