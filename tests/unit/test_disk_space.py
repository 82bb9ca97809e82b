"""Room on the disk: what is checked before a run, and what is waited for at its end."""

import errno
from collections import namedtuple

import pytest
import torch
from safetensors import SafetensorError

from sightline.engines.disk_space import check_space, free, is_full, when_there_is_room
from sightline.errors import UserError

MODEL = torch.nn.Linear(1000, 1000, bias=False)  # 4 MB, and 8 MB of moments
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def room(monkeypatch):
    def set_to(megabytes):
        usage = Usage(0, 0, int(megabytes * 1e6))
        monkeypatch.setattr("sightline.engines.disk_space.shutil.disk_usage", lambda path: usage)

    return set_to


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_run_that_fits_nowhere_is_refused(room, tmp_path):
    room(15)
    with pytest.raises(UserError, match=r"15\.0 MB free, but the model and one checkpoint take 16\.0 MB"):
        check_space(tmp_path / "not/yet/there", MODEL, True, 2)
    assert check_space(tmp_path, MODEL, False, None) is None
    room(3)
    with pytest.raises(UserError, match="but the model take 4"):
        check_space(tmp_path, MODEL, False, None)


def test_a_run_that_fits_only_just_is_told(room, tmp_path):
    room(39)
    assert "40.0 MB" in (check_space(tmp_path, MODEL, True, 2) or "")
    room(41)
    assert check_space(tmp_path, MODEL, True, 2) is None
    assert free(tmp_path / "a/b") == 41_000_000


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError(errno.EACCES, "x"), False),
        (
            SafetensorError(
                'IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })'
            ),
            True,
        ),
        (RuntimeError("[enforce fail] No space left on device"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("No space left"), False),
    ],
)
def test_a_full_disk_is_known_by_any_library_s_words(error, expected):
    assert is_full(error) is expected


def test_what_is_saved_waits_in_memory_for_room(tmp_path):
    said, tries = [], []

    def save():
        tries.append(1)
        return "saved" if len(tries) > 2 else full()

    assert when_there_is_room(save, tmp_path, 4_000_000, 30, said.append) == "saved"
    assert len(said) == 1
    assert "the trained model takes 4.0 MB" in said[0]


def test_a_disk_that_stays_full_ends_with_what_is_missing(room, tmp_path):
    room(1)
    with pytest.raises(OSError, match=r"3\.0 MB are missing") as caught:
        when_there_is_room(full, tmp_path, 4_000_000, 0.0, lambda line: None)
    assert is_full(caught.value)


def test_other_errors_are_not_waited_for(tmp_path):
    def broken():
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape"):
        when_there_is_room(broken, tmp_path, 1, 30, lambda line: None)
