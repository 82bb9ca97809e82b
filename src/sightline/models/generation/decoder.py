"""Responses sampled from prompts that run once: an image is encoded once for its G rollouts."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig, PreTrainedModel
from transformers.utils import logging

from ..families import cached
from ..scoring.hidden_states import (
    Reading,
    SharedPrefix,
    backbone_states,
    response_positions,
    selected,
    why_not_shared,
)
from ..scoring.micro_batches import is_sharded
from ..scoring.sampled_states import StatesLog
from .prompt_inputs import Prompts
from .sampling_params import NextTokenSampler, why_not_honoured

_log = logging.get_logger(__name__)

_STILL_GOING = 0.8
"""Finished rows are taken out when less than this share of the running ones still goes on."""


@dataclass(frozen=True)
class Sampled:
    """R responses, padded on the right to the longest."""

    token_ids: Tensor
    """int64 [R, T], the pad id after a response's end."""
    mask: Tensor
    """int64 [R, T], 1 on generated tokens, end-of-sequence included."""
    log_probs: Tensor
    """Float32 [R, T], of the tokens under the distribution they were drawn from; 0 at padding."""
    banned_mass: float
    """Mean probability, over all tokens, that the model gave to the banned ones."""
    overflown: Tensor
    """bool [R], rows that ended because their logits were not finite; their last token is the pad id."""
    owner: Tensor
    """int64 [R], each row's prompt."""
    prefix: SharedPrefix | None
    """The prompts as they ran, if they were to be kept: a scoring pass goes on from them while the model is
    the same."""

    def lists(self) -> list[list[int]]:
        """Each response's tokens without padding."""
        rows = zip(self.token_ids.tolist(), self.mask.sum(1).tolist(), strict=True)
        return [ids[:length] for ids, length in rows]


class OverflownError(RuntimeError):
    """Every row's logits are not finite, so that nothing can be sampled."""


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    prompts: Prompts,
    owner: Tensor,
    choice: NextTokenSampler,
    *,
    keep: Reading | int | None = None,
    keep_states: bool = False,
) -> Sampled:
    """One response to prompt `owner[r]` for each r, as `model.generate` would draw it.

    With `keep` the prompts' cache comes back too, with what it reads of their states (a layer's number is
    short for visual focus there); None drops it. With `keep_states` also the responses' states after the
    final norm, [tokens, D], where no other is read.

    Random draws come from torch's global generator. Rows that end leave the batch, so the stream of
    draws differs from `generate`'s, but not what each draw is from. A row whose logits are not finite ends.
    Raises `OverflownError` if all of them end so at their first token.
    """
    was_training = model.training
    model.eval()
    try:
        running = _Running(model, prompts, owner, choice, keep, keep_states)
        while running.step():
            pass
    finally:
        model.train(was_training)
    return running.sampled()


def prefills_once(model: PreTrainedModel, config: GenerationConfig) -> bool:
    """Whether `sample` can stand in for `model.generate`; said once in the log where it cannot."""
    structure, settings = why_not_shared(model), why_not_honoured(config, model.generation_config)
    if structure is None and settings is None:
        return True
    reason = (
        f"{type(model).__name__} cannot share a prompt, as {structure}" if structure else f"of {settings}"
    )
    _log.warning_once(f"Every rollout runs its own prompt, in transformers' generate: {reason}.")
    return False


class _Running:
    """Decoding under way: the rows that still run, and what all have written."""

    def __init__(
        self,
        model: Any,
        prompts: Prompts,
        owner: Tensor,
        choice: NextTokenSampler,
        keep: Reading | int | None,
        keep_states: bool,
    ):
        self.model, self.prompts, self.choice = model, prompts, choice
        self.sharded = is_sharded(model) and torch.distributed.is_initialized()
        self.prefix: SharedPrefix | None = None
        if keep is None:
            cache = DynamicCache(config=model.config)
            first = model(**prompts.inputs, **cached(model, cache), use_cache=True, logits_to_keep=1)
            logits = first.logits[:, -1]
        else:
            self.prefix, logits = SharedPrefix.with_logits(model, prompts, keep)
            cache = self.prefix.cache
        self.logits = logits[owner].float()
        self.cache = selected(cache, owner, len(prompts))
        self.cached = cached(model, self.cache)
        self.rows = torch.arange(len(owner), device=owner.device)
        self.mask = prompts.attention_mask[owner]
        self.history = prompts.input_ids[owner]
        self.owner = self.all_owners = owner
        self.ends = torch.tensor(choice.end_ids, device=owner.device)
        self.going = torch.ones_like(owner, dtype=torch.bool)
        self.tokens = torch.full((len(owner), choice.max_new_tokens), choice.pad_id, device=owner.device)
        self.log_probs = torch.zeros(self.tokens.shape, device=owner.device)
        self.written = torch.zeros_like(owner)
        self.overflown = torch.zeros_like(self.going)
        self.mass = torch.zeros((), device=owner.device)
        self.length = 0
        reading = None if self.prefix is None else self.prefix.reading
        kept = keep_states and reading is not None and reading.reads_only_the_last_layer(model)
        self.log = StatesLog(self.tokens) if kept else None
        self.runs_last_tokens = self.log is not None and reading is not None and bool(reading.signals)

    def step(self) -> bool:
        """Write one token to every row that goes on; whether there is another step."""
        self.written[self.rows] += self.going
        going = self.going = self.going & ~self._overflowing()
        token, log_prob = self.choice(self.history, self.logits)
        token = torch.where(going, token, self.choice.pad_id)
        self.mass += self._banned_mass()
        self.tokens[self.rows, self.length] = token
        self.log_probs[self.rows, self.length] = torch.where(going, log_prob, 0.0)
        self.length += 1
        self.going = going & ~torch.isin(token, self.ends)
        ended = self.length == self.choice.max_new_tokens or not self._any_going()
        if ended and not self.runs_last_tokens:
            return False
        self.history = torch.cat([self.history, token[:, None]], 1)
        self.mask = torch.cat([self.mask, torch.ones_like(token)[:, None]], 1)
        if self.runs_last_tokens:  # what has just finished too
            self._forward()
            self._leave_out_finished()
        else:
            self._leave_out_finished()
            self._forward()
        return not ended

    def _overflowing(self) -> Tensor:
        """Which rows have logits that are not finite, [R]; those logits become 0."""
        ill = ~self.logits.amax(-1).isfinite()
        self.overflown[self.rows] |= ill & self.going
        self.logits = self.logits.masked_fill(ill[:, None], 0.0)
        if self.length == 0 and bool(ill.all()):
            raise OverflownError("the logits of every row are not finite")
        return ill

    def _forward(self) -> None:
        position = response_positions(self.prompts, self.owner, self.length)[..., -1:]
        with contextlib.nullcontext([]) if self.log is None else backbone_states(self.model) as found:
            out = self.model(
                input_ids=self.history[:, -1:],
                attention_mask=self.mask,
                position_ids=position,
                **self.cached,
                use_cache=True,
                logits_to_keep=1,
            )
        if self.log is not None:
            self.log.add(self.rows, self.length - 1, found[0][:, -1])
        self.logits = out.logits[:, -1].float()

    def _leave_out_finished(self) -> None:
        keep = self.going.nonzero().flatten()
        if len(keep) > _STILL_GOING * len(self.going) or not len(keep):
            return
        self.cache.batch_select_indices(keep)
        for name in ("rows", "owner", "mask", "history", "going", "logits"):
            setattr(self, name, getattr(self, name)[keep])

    def _any_going(self) -> bool:
        """Whether any row goes on; on any rank, where all must call the model together."""
        going = self.going.any()
        if self.sharded:
            going = going.long()
            torch.distributed.all_reduce(going, op=torch.distributed.ReduceOp.MAX)
        return bool(going)

    def _banned_mass(self) -> Tensor:
        if not self.choice.banned:
            return torch.zeros_like(self.mass)
        norm = self.logits.logsumexp(-1, keepdim=True)
        mass = (self.logits[:, self.choice.banned] - norm).exp().sum(-1)
        return (mass * self.going).sum()

    def sampled(self) -> Sampled:
        mask = (torch.arange(self.length, device=self.rows.device) < self.written[:, None]).long()
        mass = float(self.mass) / max(1, int(self.written.sum()))
        tokens, log_probs = self.tokens[:, : self.length], self.log_probs[:, : self.length]
        if self.log is not None and self.prefix is not None:
            self.prefix.responses = self.log.of_length(self.length, self.prefix.last)
        return Sampled(tokens, mask, log_probs, mass, self.overflown, self.all_owners, self.prefix)
