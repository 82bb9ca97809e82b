"""Small sets on disk with the exact schemas of the published ones, one writer per layout."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as PILImage


def make_image(seed: int, width: int = 24, height: int = 16) -> PILImage.Image:
    """Noise: different for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return PILImage.fromarray(noise)


def encoded(image: PILImage.Image, kind: str = "PNG", **options) -> bytes:
    held = io.BytesIO()
    image.save(held, kind, **options)
    return held.getvalue()


def png(seed: int, width: int = 24, height: int = 16) -> bytes:
    return encoded(make_image(seed, width, height))


def bare_png(width: int, height: int) -> bytes:
    """A PNG of any declared size with next to no content: a bomb, or one without area."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def parquet(folder: Path, splits: dict[str, Dataset]) -> Path:
    """Files named as the hub names them."""
    (folder / "data").mkdir(parents=True)
    for split, rows in splits.items():
        rows.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


def papers_rows(count: int, first: int = 0) -> dict[str, list]:
    """Rows of PAPO_ViRL39K_train and its kin: one or two images, markers in the text."""
    numbers = range(first, first + count)
    return {
        "images": [[png(10 * i + k) for k in range(1 + i % 2)] for i in numbers],
        "problem": [f"<image>{'<image>' * (i % 2)}What is the sum of {i} and {i}?" for i in numbers],
        "answer": [str(2 * i) for i in numbers],
    }


PAPERS_FEATURES = Features({"images": List(Image()), "problem": Value("string"), "answer": Value("string")})


def virl39k(folder: Path, count: int = 6) -> Path:
    """PAPOGalaxy/PAPO_ViRL39K_train, chamber111/VPPO_ViRL39K_train: a list of images."""
    return parquet(folder, {"train": Dataset.from_dict(papers_rows(count), features=PAPERS_FEATURES)})


def virl39k_structs(folder: Path, count: int = 6) -> Path:
    """The layout with an id and plain structs {bytes, path: null} instead of the image feature."""
    rows = papers_rows(count)
    rows["images"] = [[{"bytes": data, "path": None} for data in images] for images in rows["images"]]
    kind = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.null())]))
    table = pa.table(
        {
            "id": [f"q-{i}" for i in range(count)],
            "problem": rows["problem"],
            "answer": rows["answer"],
            "images": pa.array(rows["images"], type=kind),
        }
    )
    (folder / "data").mkdir(parents=True)
    pa.parquet.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    return folder


def mmk12_test(folder: Path, count: int = 4) -> Path:
    """PAPOGalaxy/PAPO_MMK12_test, chamber111/VPPO_MMK12_validation: letters, options in the text."""
    rows = papers_rows(count, first=100)
    rows["problem"] = [f"{text}\nA. 1\nB. 2\nC. 3\nD. 4" for text in rows["problem"]]
    rows["answer"] = ["ABCD"[i % 4] for i in range(count)]
    return parquet(folder, {"train": Dataset.from_dict(rows, features=PAPERS_FEATURES)})


def geometry3k(folder: Path) -> Path:
    """hiyouga/geometry3k: three splits, expressions."""
    splits = {}
    for place, split in enumerate(("train", "validation", "test")):
        rows = papers_rows(4 - place, first=200 + 10 * place)
        rows["answer"] = ["3 \\sqrt { 2 }", "\\frac{1}{2}", "12", "x"][: 4 - place]
        splits[split] = Dataset.from_dict(rows, features=PAPERS_FEATURES)
    return parquet(folder, splits)


def mmk12(folder: Path) -> Path:
    """FanqingM/MMK12: one image, no markers, a subject; answers are values in train, letters in test."""
    kinds = {name: Value("string") for name in ("id", "question", "answer", "subject")}
    features = Features({**kinds, "image": Image()})
    splits = {}
    for split, first, answers in (("train", 300, ["8", "45^\\circ", "2.5"]), ("test", 320, ["A", "C"])):
        splits[split] = Dataset.from_dict(
            {
                "id": [f"{split}-{i}" for i in range(len(answers))],
                "question": [f"As shown in the figure, find angle {first + i}." for i in range(len(answers))],
                "answer": answers,
                "subject": ["math"] * len(answers),
                "image": [png(first + i) for i in range(len(answers))],
            },
            features=features,
        )
    return parquet(folder, splits)


def own_rows(folder: Path, count: int = 3) -> list[dict]:
    """Rows of a home-made set, with their images as files under `folder/images`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        (folder / "images" / f"{i}.png").write_bytes(png(i))
        rows.append({"image": f"images/{i}.png", "question": f"How many dots in {i}?", "answer": str(i)})
    return rows


def jsonl(file: Path, rows: list[dict]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def saved(folder: Path, splits: dict[str, Dataset]) -> Path:
    DatasetDict(splits).save_to_disk(str(folder))
    return folder
