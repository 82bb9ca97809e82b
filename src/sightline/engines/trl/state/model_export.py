"""The model before training and after it: loaded as the settings say, saved whole with adapters merged."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trl.trainer.utils import get_quantization_config

from ....errors import UserError
from ....models.loading import LoadedModel, load_model
from ....models.processors import forget_last_batch
from ....models.vllm_weight_names import names_for_vllm
from ....run_folder import RunFolder, sync, usual_rights
from ..settings.resolve import Settings

ADAPTER = "adapter"
"""The folder of a run that holds trained adapters where they cannot be merged in place."""


def load_policy(settings: Settings, *, quantized: bool = True) -> LoadedModel:
    """The model that is to be trained; `quantized=False` gives the weights behind a quantized one.

    Raises:
        UserError: nothing is found under that name, or it is not a vision-language model.
    """
    wanted = settings.model
    given = {
        "attn_implementation": wanted.attn_implementation,
        "quantization_config": get_quantization_config(wanted) if quantized else None,
    }
    try:
        return load_model(
            str(wanted.model_name_or_path),
            wanted.dtype or "float32",
            trust_remote_code=settings.train.trust_remote_code,
            revision=wanted.model_revision,
            **{name: value for name, value in given.items() if value is not None},
        )
    except (ImportError, ValueError) as error:
        if wanted.attn_implementation is None:
            raise
        raise UserError(
            f"attn_implementation {wanted.attn_implementation} cannot be used here: "
            f"{str(error).strip().splitlines()[0]} Leave it out for torch's own"
        ) from error


@dataclass(frozen=True)
class TrainedWeights:
    """The trained model in memory, gathered from all ranks."""

    loaded: LoadedModel
    """The model as it was loaded, adapters merged where that can be done in place."""
    state: dict[str, Any] | None
    """Its weights, where they were sharded or lie beside quantized ones; None: those of the model itself."""
    adapted: bool
    """Whether `state` holds adapters only."""

    def write(self, settings: Settings, folder: RunFolder) -> LoadedModel:
        """Write `model/` into a run folder, whole or not at all, and return what it holds. On rank 0."""
        if self.state is None:
            _write(self.loaded, folder)
            return self.loaded
        model, state = self.loaded.model, self.state
        if self.adapted:
            model.save_pretrained(folder.path / ADAPTER, state_dict=state)
            model, state = _merged(settings, folder.path / ADAPTER), None
        _write(replace(self.loaded, model=model), folder, state)
        return load_model(str(folder.model), model.dtype)


def trained_weights(trainer: Any, settings: Settings, loaded: LoadedModel) -> TrainedWeights:
    """The trained model; every rank has to call it, since sharded weights are gathered."""
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    sharded = trainer.is_fsdp_enabled or trainer._dist.is_zero3
    adapted = hasattr(model, "merge_and_unload")
    if not sharded and not (adapted and settings.model.load_in_4bit | settings.model.load_in_8bit):
        return TrainedWeights(
            replace(loaded, model=model.merge_and_unload() if adapted else model), None, adapted
        )
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped) or {}
    return TrainedWeights(replace(loaded, model=model), state, adapted)


def _merged(settings: Settings, adapter: Path) -> Any:
    """The model as it was loaded, unquantized and in one piece, with the adapters in its weights."""
    from peft import PeftModel

    base = load_policy(settings, quantized=False)
    return PeftModel.from_pretrained(base.model, str(adapter)).merge_and_unload()


def _write(trained: LoadedModel, folder: RunFolder, state: dict[str, Any] | None = None) -> None:
    part = folder.path / ".model.part"
    shutil.rmtree(part, ignore_errors=True)
    trained.model.save_pretrained(part, state_dict=names_for_vllm(trained.model, state))
    forget_last_batch(trained.processor)
    trained.processor.save_pretrained(part)
    for file in (path for path in part.rglob("*") if path.is_file()):
        usual_rights(file)
        sync(file)
    sync(part)
    shutil.rmtree(folder.model, ignore_errors=True)
    part.rename(folder.model)
    sync(folder.path)
