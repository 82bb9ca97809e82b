"""Everything that verl must know of Sightline, registered by importing this module.

Every process imports it with verl (VERL_USE_EXTERNAL_MODULES), and again as `external_lib` of the model. A
module that registers is not imported at the top of this file: verl itself may still be half imported.
"""

from __future__ import annotations

import importlib
import types
from typing import Any

import verl.workers.config.model as model_config  # pyright: ignore[reportMissingImports]
from transformers import AutoConfig, AutoModelForImageTextToText

from ...models.processors import load_processor

_REGISTERING = ("data.agent_loop", "training.fsdp_engine", "training.trainer", "cpu.sampler")


def sightline_processor(path: str, **options: Any) -> Any:
    """Sightline's processor in place of verl's, which knows seven classes and gives None for any other.

    verl computes a row's positions by the model's `get_rope_index`, bound to its processor.
    """
    hub = {name: value for name, value in options.items() if name == "trust_remote_code"}
    processor: Any = load_processor(path, **hub)
    processor.config = AutoConfig.from_pretrained(path, **hub)
    backbone = _backbone(type(processor.config))
    for name in ("get_rope_index", "get_vision_position_ids"):
        if hasattr(backbone, name):
            setattr(processor, name, types.MethodType(getattr(backbone, name), processor))
    return processor


def _backbone(config: type) -> Any:
    """The class of the model without its head; None where it has another name."""
    whole: Any = AutoModelForImageTextToText._model_mapping[config]
    module = importlib.import_module(whole.__module__)
    return getattr(module, whole.__name__.replace("ForConditionalGeneration", "Model"), None)


def register() -> bool:
    """Make verl find our engine, trainer, rollout loop and samplers."""
    model_config.hf_processor = sightline_processor  # a global of the module, looked up when it is called
    for name in _REGISTERING:
        importlib.import_module(f"{__package__}.{name}")
    return True


PLUGGED = register()
"""Whether everything is registered; there is no False, an import that fails raises."""
