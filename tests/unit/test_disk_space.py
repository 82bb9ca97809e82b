"""Room on the disk: what is checked before a run, and what is waited for at its end."""

import errno
from collections import namedtuple
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors import SafetensorError
from small_disk import fill, small_disk

from sightline.engines.disk_space import check_space, free, is_full, trouble, when_there_is_room
from sightline.engines.trl.state.model_export import TrainedWeights
from sightline.errors import UserError
from sightline.models.loading import load_model
from sightline.run_folder import RunFolder

MODEL = torch.nn.Linear(1000, 1000, bias=False)  # 4 MB, and 8 MB of moments
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def room(monkeypatch):
    def set_to(megabytes):
        usage = Usage(0, 0, int(megabytes * 1e6))
        monkeypatch.setattr("sightline.engines.disk_space.shutil.disk_usage", lambda path: usage)

    return set_to


@pytest.fixture(scope="module")
def embedded():
    return load_model("embedded", torch.float32)


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
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), True),
        (RuntimeError("PytorchStreamReader failed reading zip archive (inline_container.cc)"), False),
        (Exception("No space left on device (os error 28)"), True),
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
    assert "the trained model, 4.0 MB, cannot be written" in said[0] and "whose disk is full" in said[0]


def test_a_disk_that_stays_full_ends_with_what_is_missing(room, tmp_path):
    room(1)
    with pytest.raises(OSError, match=r"3\.0 MB are missing") as caught:
        when_there_is_room(full, tmp_path, 4_000_000, 0.0, lambda line: None)
    assert is_full(caught.value)


def test_any_fault_of_the_disk_is_waited_for(tmp_path):
    said, tries = [], []

    def save():
        tries.append(1)
        if len(tries) < 2:
            raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "model"))
        return "saved"

    assert when_there_is_room(save, tmp_path, 4_000_000, 30, said.append) == "saved"
    assert "Permission denied" in said[0] and "put it right meanwhile" in said[0]
    with pytest.raises(OSError, match="Permission denied") as caught:
        when_there_is_room(lambda: tries.clear() or save(), tmp_path, 1, 0.0, said.append)
    assert caught.value.errno == errno.EACCES


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (
            OSError(errno.EROFS, "Read-only file system", "run/metrics.jsonl"),
            "cannot be written or read: Read",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "run/metrics.jsonl"), "No such file"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "elsewhere/data.json"), None),
        (ConnectionResetError(errno.ECONNRESET, "reset"), None),
        (ValueError("run/metrics.jsonl"), None),
    ],
)
def test_what_is_wrong_with_the_disk_of_a_run_is_said(error, said):
    found = trouble(error, Path("run"))
    assert found is None if said is None else said in found


@pytest.mark.parametrize("room", [0, 1_000_000, 3_833_856, 3_846_144])
def test_no_library_hides_a_disk_that_is_really_full(room, tmp_path, embedded):
    """Where the config, the weights, or `tokenizer.json` no longer fit; afterwards there is room."""
    with small_disk(tmp_path / "disk") as disk:
        folder = RunFolder(disk / "run")
        folder.path.mkdir()
        ballast = fill(disk, room)
        weights = TrainedWeights(embedded, None, False)

        def save():
            return weights.write(cast(Any, None), folder)  # settings are read for quantized models alone

        with pytest.raises(OSError, match="its disk is full") as caught:
            when_there_is_room(save, folder.path, 1, 0.0, lambda line: None)
        assert caught.value.errno == errno.ENOSPC
        assert not folder.model.exists()
        ballast.unlink()
        when_there_is_room(save, folder.path, 1, 0.0, lambda line: None)
        assert (folder.model / "tokenizer.json").is_file()


def test_other_errors_are_not_waited_for(tmp_path):
    def broken():
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape"):
        when_there_is_room(broken, tmp_path, 1, 30, lambda line: None)
