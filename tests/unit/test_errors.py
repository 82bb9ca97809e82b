"""Names that do not exist: the nearest ones are offered."""

from __future__ import annotations

import errno

import pytest

from sightline.cli import main, score, screen
from sightline.errors import spelled, unknown_name


def test_nearest_names_first_and_all_of_a_short_table() -> None:
    message = str(unknown_name("method", "vgop", ["vgpo", "pgpo", "grpo", "dapo"]))
    assert message.startswith("unknown method 'vgop': did you mean vgpo")
    assert message.endswith("valid: dapo, grpo, pgpo, vgpo")


def test_a_long_table_is_not_listed() -> None:
    message = str(unknown_name("setting", "max_step", [f"field_{i}" for i in range(100)] + ["max_steps"]))
    assert message == "unknown setting 'max_step'; nearest: max_steps"


def test_nothing_near() -> None:
    assert "none" in str(unknown_name("setting", "zzz", [f"field_{i}" for i in range(100)]))


def test_what_a_terminal_would_obey_is_spelled_out(capsys) -> None:
    hostile = "a\x1b[31mb\x07\u202ec\ud800 \u202f1 \u00e9"
    assert spelled(hostile) == "a\\u001b[31mb\\u0007\\u202ec\\ud800 \u202f1 \u00e9"
    screen.say(hostile)
    screen.print_table(hostile, ["", hostile], [["x", hostile]])
    assert main([hostile]) == 2
    printed = capsys.readouterr()
    assert not set(printed.out + printed.err) & set(hostile) & set("\x1b\x07\u202e\ud800")


def test_a_full_disk_is_one_line_of_every_verb(monkeypatch, capsys) -> None:
    def full(argv):
        raise OSError(errno.ENOSPC, "No space left on device", "runs/a/results.json")

    monkeypatch.setattr(score, "main", full)
    assert main(["score", "runs/a"]) == 1
    assert capsys.readouterr().err == (
        "sightline: the disk is full for runs/a/results.json; make room, then give the command again\n"
    )


@pytest.mark.parametrize("name", ["geo[hard]", "[/red]", "[bold]x", "[link=file:///x]y[/link]"])
def test_a_table_shows_names_as_they_are(name: str, capsys) -> None:
    screen.print_table(name, ["", "n"], [[name, "1"]])
    assert capsys.readouterr().out.count(name) == 2
