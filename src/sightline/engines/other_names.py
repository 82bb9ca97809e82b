"""Names under which other libraries know a setting, for those who come from them."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import UserError, unknown_name

_PAPO = "in method_options, with method: papo; docs/from-trl.md has the table"
HERE = {
    "dataset_name": "it is task here: task: owner/name, a file, or a mapping with source",
    "dataset_config": "it is config in the mapping task: {source: owner/name, config: ...}",
    "dataset_train_split": "it is split in the mapping task: {source: owner/name, split: ...}",
    "dataset_test_split": "it is test in the mapping task: {source: owner/name, test: ...}",
    "dataset_streaming": "it is streaming: true",
    "reward_funcs": "it is rewards: accuracy, format, or a file.py:function of your own",
    "reward_model_name_or_path": "call the model in a reward of your own: rewards: file.py:function",
    "model_id": "it is model: a folder, a hub id, or embedded",
    "perception_loss_weight": f"it is gamma {_PAPO}",
    "der_loss_weight1": f"it is eta {_PAPO}",
    "der_loss_weight2": f"it is masked_eta {_PAPO}",
    **dict.fromkeys(("mask_ratio", "mask_type"), f"it is the view {_PAPO}"),
    **dict.fromkeys(
        ("data", "algorithm", "worker", "trainer"), "EasyR1's names have their row in docs/from-easyr1.md"
    ),
}
"""A name of TRL's scripts, of its PAPO trainer or of EasyR1 -> where it is here."""


def unknown_setting(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a setting or flag that there is not: its name here, or the nearest valid ones."""
    bare = name.lstrip("-").replace("-", "_")
    hint = HERE.get(bare.partition(".")[0])
    return unknown_name(kind, name, known) if hint is None else UserError(f"unknown {kind} {name!r}: {hint}")
