"""Bytes on one GPU, part by part, from the sizes of a model and how a run is laid out.

docs/recipes.md derives the formulas. GiB are 2^30 bytes; a card of "80 GB" has about 79 of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from .architectures import Architecture

GIB = 2**30
MEAN_PIXELS = 500_000
"""Pixels of an average image, where the bounds allow; an assumption, see `sightline data check`."""
HEAD_TILE = 1 * GIB
"""Logits of the few positions that a fused head looks at together, and their gradient."""
RESERVE = 3 * GIB
"""CUDA context, NCCL's buffers, fragments."""
SAMPLER_OVERHEAD = 1.5 * GIB
"""What vLLM keeps beside weights and KV cache: graphs and the largest activations."""


@dataclass(frozen=True)
class Layout:
    """How a run is laid out; lengths in tokens, rows and rollouts on one GPU."""

    gpus: int
    """Over which FSDP2 or ZeRO-3 divide the training states."""
    card: float
    """Memory of one GPU, GiB."""
    rows: int
    """Of one micro-batch."""
    rollouts: int
    """Of one rollout batch: their images stay on the GPU until all are trained on."""
    prompt: int
    response: int
    max_pixels: int
    mean_pixels: int
    adapters: int = 0
    """Trained parameters of LoRA; 0: all of the model is trained."""
    reference: bool = False
    """A frozen reference model for the KL."""
    sampler: float = 0.0
    """Share of the card that a colocated vLLM takes while it samples; 0: none."""
    sampler_gpus: int = 1
    """Over which vLLM divides its copy of the weights."""
    sleeps: bool = True
    """Whether vLLM gives its memory back while the model is trained."""
    whole_logits: bool = False
    """Whether the engine keeps the logits of a whole micro-batch, and their gradient."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU."""

    weights: float
    gradients: float
    optimizer: float
    reference: float
    gathered: float
    """Whole layers, copied together from their shards while they are used."""
    activations: float
    images: float
    sampler: float
    reserve: float
    sequences: float
    """Not bytes: responses of full length that vLLM's KV cache holds at once."""
    sleeps: bool

    @property
    def training(self) -> float:
        """The most while gradients are computed."""
        parts = ("weights", "gradients", "optimizer", "reference", "gathered", "activations", "images")
        awake = 0.0 if self.sleeps else self.sampler
        return sum(getattr(self, part) for part in parts) + awake + self.reserve

    @property
    def sampling(self) -> float:
        """The most while rollouts are drawn; the last batch's images are still there."""
        return self.weights + self.optimizer + self.reference + self.images + self.sampler + self.reserve


def memory(model: Architecture, layout: Layout) -> Memory:
    """Bytes on one GPU by the formulas of docs/recipes.md, images and prompts at their largest."""
    trained = layout.adapters or model.parameters
    frozen = model.parameters if layout.adapters else 0
    return Memory(
        weights=(4 * trained + 2 * frozen) / layout.gpus,
        gradients=4 * trained / layout.gpus,
        optimizer=8 * trained / layout.gpus,
        reference=4 * model.parameters / layout.gpus if layout.reference else 0.0,
        gathered=_gathered(model, layout),
        activations=_activations(model, layout),
        images=layout.rollouts * _patches(model, layout.mean_pixels) * 3 * 2 * model.patch**2 * 4,
        sampler=layout.sampler * layout.card * GIB,
        reserve=RESERVE,
        sequences=_sequences(model, layout),
        sleeps=layout.sleeps,
    )


def checkpoint_bytes(model: Architecture, layout: Layout) -> float:
    """A checkpoint on disk: float32 weights of what is trained, and Adam's two states."""
    return 12 * (layout.adapters or model.parameters)


def _gathered(model: Architecture, layout: Layout) -> float:
    """bfloat16 copies: both ends and their gradients, a layer, the next one, and the layer's gradient."""
    if layout.gpus == 1:
        return 0.0 if layout.adapters else 2 * model.parameters  # autocast keeps copies of all weights
    return 2 * (2 * model.end_parameters + 3 * model.layer_parameters)


def _activations(model: Architecture, layout: Layout) -> float:
    """bfloat16, with checkpoints: the input of every layer, and one layer in full while it is run again."""
    tokens = layout.rows * (layout.prompt + layout.response)
    patches = layout.rows * _patches(model, min(layout.max_pixels, layout.prompt * (2 * model.patch) ** 2))
    inputs = tokens * model.layers * model.hidden + patches * model.vision_layers * model.vision_hidden
    text = tokens * (16 * model.hidden + 6 * model.inner)
    vision = patches * (16 * model.vision_hidden + 6 * model.vision_inner)
    head = 2 * 2 * tokens * model.vocabulary if layout.whole_logits else HEAD_TILE
    return 2 * (inputs + max(text, vision)) + head


def _patches(model: Architecture, pixels: int) -> float:
    return pixels / model.patch**2


def _sequences(model: Architecture, layout: Layout) -> float:
    """Full-length sequences in the KV cache: keys and values of every layer, bfloat16."""
    if not layout.sampler:
        return 0.0
    weights = 2 * model.parameters / layout.sampler_gpus
    free = layout.sampler * layout.card * GIB - weights - SAMPLER_OVERHEAD
    token = 2 * 2 * model.layers * model.key_values / layout.sampler_gpus
    return max(0.0, free / (token * (layout.prompt + layout.response)))
