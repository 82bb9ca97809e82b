"""Rollouts on the embedded model against stock `generate`.

python benchmarks/rollouts.py [--smallest] [--rounds 7]

32 prompts x 8 rollouts of up to 40 tokens, temperature 1, float32, one thread, from processed inputs.
"plain": transformers' `generate` on every prompt eight times. Ours encodes an image and prefills a prompt
once, and takes rows out when they end. The log-probs of what ours drew are checked against one forward over
the whole sequences, so both sides draw from the same distribution.
"""

from __future__ import annotations

from typing import Any

import torch
from measuring import Meter, arguments, report
from transformers import GenerationConfig

from sightline.models.families import image_features_inputs, own_end_ids, placeholder_ids, type_ids
from sightline.models.generation.decoder import Sampled, sample
from sightline.models.generation.prompt_inputs import make_prompts
from sightline.models.generation.sampling_params import choice
from sightline.models.loading import load_model
from sightline.tasks import ShapesTask


class Rollouts:
    """Both ways to the same rollouts."""

    def __init__(self, prompts: int, group: int, longest: int):
        loaded, task = load_model("embedded", torch.float32), ShapesTask()
        self.model, self.processor = loaded.model.eval(), loaded.processor
        problems = task.train(prompts, 0)
        self.once = self.inputs(task, problems)
        self.repeated = self.inputs(task, [problem for problem in problems for _ in range(group)])
        self.owner = torch.arange(prompts).repeat_interleave(group)
        self.config = GenerationConfig(
            max_new_tokens=longest,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            suppress_tokens=placeholder_ids(self.model.config),
            eos_token_id=own_end_ids(self.model),
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )

    def inputs(self, task: Any, problems: Any) -> dict[str, Any]:
        """What the processor makes of the problems' prompts."""
        processor: Any = self.processor
        texts = [
            processor.apply_chat_template(task.messages(p), add_generation_prompt=True, tokenize=False)
            for p in problems
        ]
        images = [list(problem.images) for problem in problems]
        found = dict(processor(text=texts, images=images, padding=True, return_tensors="pt"))
        return found | type_ids(self.model, found["input_ids"])

    def ours(self) -> Sampled:
        vision = image_features_inputs(self.model, self.once)
        prompts = make_prompts(self.model, self.once["input_ids"], self.once["attention_mask"], vision)
        return sample(self.model, prompts, self.owner, choice(self.config, self.model.generation_config))

    @torch.no_grad()
    def plain(self) -> Any:
        return self.model.generate(**self.repeated, generation_config=self.config)

    @torch.no_grad()
    def check(self) -> None:
        """What ours drew has the log-probs of one forward over whole sequences."""
        drawn = self.ours()
        ids = torch.cat([self.repeated["input_ids"], drawn.token_ids], 1)
        mask = torch.cat([self.repeated["attention_mask"], drawn.mask], 1)
        whole = {**self.repeated, "input_ids": ids, "attention_mask": mask, **type_ids(self.model, ids)}
        logits = self.model(**whole).logits[:, -drawn.token_ids.shape[1] - 1 : -1]
        logits[..., placeholder_ids(self.model.config)] = -torch.inf
        wanted = logits.log_softmax(-1).gather(-1, drawn.token_ids[..., None])[..., 0]
        valid = drawn.mask.bool()
        torch.testing.assert_close(drawn.log_probs[valid], wanted[valid], atol=1e-4, rtol=1e-4)


def main() -> None:
    parser = arguments(__doc__)
    parser.set_defaults(rounds=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    prompts, group, longest, rounds = (2, 2, 4, 1) if args.smallest else (32, 8, 40, args.rounds)
    torch.manual_seed(0)
    both = Rollouts(prompts, group, longest)
    both.check()
    rows = [Meter().in_turns(f"{prompts} prompts x {group}", both.ours, both.plain, rounds)]
    report(args.out / "rollouts.json", rows, "Rollouts of the embedded model")


if __name__ == "__main__":
    main()
