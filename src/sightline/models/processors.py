"""Put a processor together, with torchvision or without it."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoProcessor, AutoTokenizer

# transformers 5.5 to 5.10 hide it under its short name where torchvision is not installed.
from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.processing_utils import ProcessorMixin
from transformers.utils.import_utils import is_torchvision_available

from ..errors import UserError
from ..rewards.format import opening_of


def load_processor(path: str | Path, **hub: Any) -> ProcessorMixin:
    """The processor saved at `path` (a folder or hub id), padding on the left.

    On a machine without torchvision, the Qwen processors are built from their image processor
    (PIL backend) and tokenizer alone; they then handle images and text, but no video.

    Raises:
        UserError: `path` holds a tokenizer but no image processor, so it is not a vision-language model.
    """
    try:
        processor = AutoProcessor.from_pretrained(path, **hub)
    except ImportError:  # the video half needs torchvision
        if is_torchvision_available():
            raise
        processor = _image_only(path, **hub)
    except (OSError, ValueError):  # saved without its video half, or an image processor is hidden
        processor = _image_only(path, **hub)
    if not isinstance(processor, ProcessorMixin) or getattr(processor, "image_processor", None) is None:
        raise UserError(
            f"{path} has no image processor, so it is not a vision-language model; "
            "expected a folder or hub id with preprocessor_config.json or processor_config.json"
        )
    processor.tokenizer.padding_side = "left"
    return processor


def _image_only(path: str | Path, **hub: Any) -> ProcessorMixin:
    name = _processor_class(path, **hub)
    try:
        image_processor = AutoImageProcessor.from_pretrained(path, backend="pil", **hub)
    except (ImportError, ValueError) as error:
        if is_torchvision_available():
            raise
        raise UserError(
            f"{name} needs torchvision (under transformers {transformers.__version__}), which is not "
            "installed; pip install torchvision"
        ) from error
    tokenizer = AutoTokenizer.from_pretrained(path, **hub)
    template = getattr(tokenizer, "chat_template", None) or _saved_chat_template(path)
    base: Any = getattr(transformers, name, ProcessorMixin)
    saved, _ = ProcessorMixin.get_processor_dict(path, **hub)
    accepted = inspect.signature(base.__init__).parameters.keys() - {*base.get_attributes(), "chat_template"}
    options = {key: saved[key] for key in accepted & saved.keys()}
    build = image_only_class(name) if "video_processor" in base.get_attributes() else base
    return build(image_processor, tokenizer, chat_template=template, **options)


def _processor_class(path: str | Path, **hub: Any) -> str:
    config, _ = ProcessorMixin.get_processor_dict(path, **hub)
    name = config.get("processor_class")
    if name:
        return name
    tokenizer_name = AutoTokenizer.from_pretrained(path, **hub).init_kwargs.get("processor_class")
    return tokenizer_name or "an unnamed processor"


def _saved_chat_template(path: str | Path) -> str | None:
    file = Path(path) / "chat_template.jinja"
    return file.read_text() if file.is_file() else None


def image_only_class(name: str) -> type[ProcessorMixin]:
    """A subclass of transformers' processor `name` without video and sound."""
    base: Any = getattr(transformers, name)
    kept = ["image_processor", "tokenizer"]
    other = [part for part in base.get_attributes() if part not in kept]

    class ImageOnly(base):
        @classmethod
        def get_attributes(cls) -> list[str]:
            return list(kept)

        @functools.wraps(base.__init__)  # saving writes down the options that the signature names
        def __init__(self, image_processor: Any, tokenizer: Any, *_: Any, **options: Any):
            options |= dict.fromkeys(other)
            self.get_attributes = base.get_attributes  # some processors hand every part on by its name
            try:
                super().__init__(image_processor=image_processor, tokenizer=tokenizer, **options)
            finally:
                del self.get_attributes

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument is None and argument_name in other:
                return None
            return super().check_argument_for_proper_class(argument_name, argument)

    ImageOnly.__name__ = ImageOnly.__qualname__ = name
    return ImageOnly


def response_opening(processor: Any, **template: Any) -> str:
    """The `<think>` with which this chat template begins every response; "" if it begins none."""
    asked = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
    rendered = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False, **template)
    return opening_of(rendered)


def forget_last_batch(processor: Any) -> None:
    """Switch off the padding and truncation that a fast tokenizer keeps from the last batch it tokenized.

    They would be saved into tokenizer.json, and differ with the moment at which that happens.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_padding()
        backend.no_truncation()
