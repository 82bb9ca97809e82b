"""Names that do not exist: the nearest ones are offered."""

from __future__ import annotations

from sightline.errors import unknown_name


def test_nearest_names_first_and_all_of_a_short_table() -> None:
    message = str(unknown_name("method", "vgop", ["vgpo", "pgpo", "grpo", "dapo"]))
    assert message.startswith("unknown method 'vgop': did you mean vgpo")
    assert message.endswith("valid: dapo, grpo, pgpo, vgpo")


def test_a_long_table_is_not_listed() -> None:
    message = str(unknown_name("setting", "max_step", [f"field_{i}" for i in range(100)] + ["max_steps"]))
    assert message == "unknown setting 'max_step'; nearest: max_steps"


def test_nothing_near() -> None:
    assert "none" in str(unknown_name("setting", "zzz", [f"field_{i}" for i in range(100)]))
