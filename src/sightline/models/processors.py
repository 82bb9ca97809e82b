"""Put a processor together, with torchvision or without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.processing_utils import ProcessorMixin
from transformers.utils.import_utils import is_torchvision_available

from ..errors import UserError

# Processors whose video half needs torchvision, although a picture never does.
_VIDEO_PROCESSORS = ("Qwen2VLProcessor", "Qwen2_5_VLProcessor", "Qwen3VLProcessor")


def load_processor(path: str | Path, **hub: Any) -> ProcessorMixin:
    """The processor saved at `path` (a folder or hub id), padding on the left.

    On a machine without torchvision, the Qwen processors are built from their image processor
    (PIL backend) and tokenizer alone; they then handle pictures and text, but no video.

    Raises:
        UserError: `path` holds a tokenizer but no image processor, so it is not a vision-language model.
    """
    try:
        processor = AutoProcessor.from_pretrained(path, **hub)
    except ImportError:
        if is_torchvision_available():
            raise
        processor = _image_only(path, **hub)
    if not isinstance(processor, ProcessorMixin) or getattr(processor, "image_processor", None) is None:
        raise UserError(
            f"{path} has no image processor, so it is not a vision-language model; "
            "expected a folder or hub id with preprocessor_config.json or processor_config.json"
        )
    processor.tokenizer.padding_side = "left"
    return processor


def _image_only(path: str | Path, **hub: Any) -> ProcessorMixin:
    image_processor = AutoImageProcessor.from_pretrained(path, backend="pil", **hub)
    tokenizer = AutoTokenizer.from_pretrained(path, **hub)
    template = getattr(tokenizer, "chat_template", None) or _saved_chat_template(path)
    name = _processor_class(path, **hub)
    if name not in _VIDEO_PROCESSORS:
        raise UserError(f"{name} needs torchvision, which is not installed; pip install torchvision")
    return image_only_class(name)(image_processor, tokenizer, chat_template=template)


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
    """A subclass of transformers' processor `name` that leaves the video processor out."""
    import transformers

    base = getattr(transformers, name)

    class ImageOnly(base):
        @classmethod
        def get_attributes(cls) -> list[str]:
            return [attribute for attribute in super().get_attributes() if attribute != "video_processor"]

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return None
            return super().check_argument_for_proper_class(argument_name, argument)

        def __init__(
            self, image_processor: Any, tokenizer: Any, chat_template: str | None = None, **kwargs: Any
        ):
            self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
            self.vision_start_token, self.vision_end_token = "<|vision_start|>", "<|vision_end|>"
            for token in ("image_token", "video_token", "vision_start_token", "vision_end_token"):
                setattr(self, f"{token}_id", tokenizer.convert_tokens_to_ids(getattr(self, token)))
            kwargs.pop("video_processor", None)
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template, **kwargs)

    ImageOnly.__name__ = ImageOnly.__qualname__ = name
    return ImageOnly
