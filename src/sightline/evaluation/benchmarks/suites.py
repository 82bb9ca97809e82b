"""What each paper measured, and how: benchmarks, decoding, protocol and pixels under one name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """The benchmarks of a paper's table with its decoding; every flag of the command line goes before."""

    benchmarks: tuple[str, ...]
    protocol: str
    samples: int
    temperature: float
    min_pixels: int | None = None
    max_pixels: int | None = None


SUITES: dict[str, Suite] = {
    "vgpo": Suite(
        ("mathvista", "mathverse", "we_math", "mmk12", "geomath", "geometry3k", "logicvista", "counting",
         "mmmu_pro:vision", "mathverse:vision_choice"),
        "lookback", samples=1, temperature=0.0, min_pixels=262_144, max_pixels=1_000_000,
    ),
    "vppo": Suite(
        ("geometry3k", "we_math", "mmk12", "mathverse:choice", "mathvision", "dynamath", "logicvista",
         "mmmu_pro:vision"),
        "papo", samples=8, temperature=1.0, max_pixels=768 * 768,
    ),
    "pgpo": Suite(
        ("geometry3k", "mmk12", "mathverse:choice", "dynamath:variant1", "mathvision", "logicvista",
         "mmmu_pro:vision", "mathverse:vision_choice"),
        "papo", samples=8, temperature=1.0,
    ),
    "papo": Suite(
        ("geometry3k", "mathvista:choice", "we_math", "mmk12", "mathverse:choice", "logicvista", "counting",
         "mmmu_pro:vision", "mathverse:vision_choice"),
        "papo", samples=8, temperature=1.0, max_pixels=768 * 768,
    ),
}  # fmt: skip
