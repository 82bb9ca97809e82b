"""Checkpoint folders and rollouts in hand, as files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from sightline.engines.checkpoints import (
    MANIFEST,
    STAGING,
    checkpoints,
    clean,
    fault,
    newest_whole,
    publish,
    remove,
    rotate,
)
from sightline.engines.trl.state import rollout_buffer as in_hand


def published(folder: Path, step: int, content: str = "weights") -> Path:
    staged = folder / STAGING / f"checkpoint-{step}"
    (staged / "shards").mkdir(parents=True)
    (staged / "model.safetensors").write_text(content)
    (staged / "shards" / "0.bin").write_text(content)
    publish(staged, folder / f"checkpoint-{step}", {"step": step})
    return folder / f"checkpoint-{step}"


def test_newest_is_by_step_not_by_name(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        published(tmp_path, step)
    (tmp_path / "checkpoint-final").mkdir()
    (tmp_path / "checkpoint-200").write_text("a file")
    assert [path.name for path in checkpoints(tmp_path)] == [f"checkpoint-{n}" for n in (9, 20, 100)]
    assert newest_whole(tmp_path) == (tmp_path / "checkpoint-100", [])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda c: (c / "shards" / "0.bin").unlink(), "shards/0.bin is missing"),
        (lambda c: (c / "model.safetensors").write_text("weight"), "has 6 bytes, 7 were written"),
        (lambda c: (c / "model.safetensors").write_text("weightz"), "is not what was written"),
        (lambda c: (c / MANIFEST).unlink(), "has no manifest.json"),
        (lambda c: (c / MANIFEST).write_text("[" * 100_000), "manifest.json is no JSON"),
        (lambda c: (c / MANIFEST).write_text('{"step": 3}'), "manifest.json is damaged: files is missing"),
        (
            lambda c: (c / MANIFEST).write_text('{"step": 3, "files": {"a": {"size": 1e300, "sha256": 5}}}'),
            "files.a.size is a number, expected a whole number",
        ),
        (lambda c: (c / MANIFEST).write_text('{"files": '), "manifest.json is no JSON"),
        (
            lambda c: (c / MANIFEST).write_text('{"step": 2, "files": [1]}'),
            "files is a list, expected fields",
        ),
        (lambda c: (c / MANIFEST).write_text('"text"'), "it is a text, expected fields"),
    ],
)
def test_damage_is_found_and_named(damage: object, says: str, tmp_path: Path) -> None:
    good, bad = published(tmp_path, 1), published(tmp_path, 2)
    damage(bad)  # pyright: ignore[reportCallIssue]
    found, lines = newest_whole(tmp_path)
    assert found == good
    assert len(lines) == 1 and lines[0].startswith("checkpoint-2 is damaged: ") and says in lines[0]


def test_nothing_is_visible_until_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", crash)
    with pytest.raises(KeyboardInterrupt):
        published(tmp_path, 3)
    monkeypatch.undo()
    assert checkpoints(tmp_path) == []
    clean(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_file_is_on_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    renamed: list[int] = []
    real_sync, real_rename = os.fsync, Path.rename

    def sync(descriptor: int) -> None:
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        real_sync(descriptor)

    def rename(path: Path, target: Path) -> Path:
        renamed.append(len(synced))
        return real_rename(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    published(tmp_path, 3)
    (before,) = renamed
    assert {"model.safetensors", "0.bin", MANIFEST, "shards", "checkpoint-3"} <= set(synced[:before])
    assert synced[before:] == [tmp_path.name]


def test_a_whole_checkpoint_stays_and_a_damaged_one_is_replaced(tmp_path: Path) -> None:
    first = published(tmp_path, 1)
    before = (first / "model.safetensors").stat().st_ino
    published(tmp_path, 1)
    assert (first / "model.safetensors").stat().st_ino == before
    (first / "model.safetensors").write_text("broken!")
    published(tmp_path, 1)
    assert fault(first) is None


def test_rotation_keeps_the_newest(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        published(tmp_path, step)
    rotate(tmp_path, None)
    assert len(checkpoints(tmp_path)) == 3
    rotate(tmp_path, 2)
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-2", "checkpoint-3"]


@pytest.mark.parametrize(
    ("best", "limit", "left"),
    [(1, 1, [1, 4]), (1, 2, [1, 4]), (1, 3, [1, 3, 4]), (4, 1, [4]), (4, 2, [3, 4]), (9, 2, [3, 4])],
)
def test_rotation_keeps_the_best_beside_the_newest(
    tmp_path: Path, best: int, limit: int, left: list[int]
) -> None:
    for step in (1, 2, 3, 4):
        published(tmp_path, step)
    rotate(tmp_path, limit, tmp_path / f"checkpoint-{best}")
    assert [path.name for path in checkpoints(tmp_path)] == [f"checkpoint-{step}" for step in left]


def test_a_checkpoint_is_never_seen_half_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    target = published(tmp_path, 1)
    real = shutil.rmtree

    def crash(path: Path, *args: object, **kwargs: object) -> None:
        if Path(path).exists():
            (Path(path) / "model.safetensors").unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", crash)
    with pytest.raises(KeyboardInterrupt):
        remove(target)
    monkeypatch.setattr(shutil, "rmtree", real)
    assert checkpoints(tmp_path) == []
    clean(tmp_path)
    assert list(tmp_path.iterdir()) == []


def micro_batches() -> list[dict[str, object]]:
    """Two micro-batches as TRL buffers them: pixels of three images, two of them equal."""
    pixels = torch.arange(24.0).view(12, 2)
    grid = torch.tensor([[1, 2, 2], [1, 2, 2], [1, 2, 2]])
    pixels[4:8] = pixels[:4]
    return [
        {
            "completion_ids": torch.tensor([[1, 2], [3, 4]]),
            "mask": torch.tensor([[True, False], [True, True]]),
            "advantages": torch.tensor([[0.5], [-0.5]], dtype=torch.bfloat16),
            "pixel_values": pixels,
            "image_grid_thw": grid,
            "num_images": [2, 1],
            "second_view_pixel_values": [torch.ones(4, 2), torch.empty(0)],
            "num_items_in_batch": torch.tensor(7),
            "old_per_token_logps": None,
        },
        {
            "completion_ids": torch.tensor([[5, 6]]),
            "pixel_values": pixels[:4],
            "image_grid_thw": grid[:1],
            "num_images": [1],
        },
    ]


def test_rollouts_in_hand_come_back_bit_for_bit(tmp_path: Path) -> None:
    batches = micro_batches()
    in_hand.save(tmp_path, 1, batches)
    back = in_hand.load(tmp_path, 1, "cpu")
    assert [list(batch) for batch in back] == [list(batch) for batch in batches]
    for mine, theirs in zip(batches, back, strict=True):
        for name, value in mine.items():
            found = theirs[name]
            if isinstance(value, torch.Tensor):
                assert torch.equal(found, value) and found.dtype == value.dtype, name
            elif name.startswith("second_view"):
                assert all(torch.equal(a, b) for a, b in zip(found, value, strict=True))  # pyright: ignore
            else:
                assert found == value
    with pytest.raises(FileNotFoundError):
        in_hand.load(tmp_path, 0, "cpu")


def test_equal_images_are_kept_once(tmp_path: Path) -> None:
    batch = {
        "pixel_values": torch.rand(4, 6).repeat(8, 1),
        "image_grid_thw": torch.tensor([[1, 2, 2]] * 8),
        "num_images": [1] * 8,
    }
    tensors, layout = in_hand.pack([batch])
    assert sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point()) == 24
    json.dumps(layout)
    assert torch.equal(in_hand.unpack(tensors, layout)[0]["pixel_values"], batch["pixel_values"])
