"""The members of TRL and transformers that this engine relies on, and an error that names what has changed.

TRL keeps the names of its methods and changes what is in them. Every member that is overridden or
called stands here with the parameters and the piece of source that our code takes for granted.
"""

from __future__ import annotations

from importlib.metadata import version

from ...errors import UserError
from ..upstream_members import Member, broken_members

_GRPO = "trl.trainer.grpo_trainer:GRPOTrainer"
_TRAINER = "transformers.trainer:Trainer"
_UTILS = "trl.trainer.utils"
_VLLM = "trl.generation.vllm_generation:VLLMGeneration"


CONTRACT = (
    Member(
        f"{_GRPO}.__init__",
        ("model", "reward_funcs", "args", "train_dataset", "eval_dataset", "processing_class"),
        (
            "self._step = 0",
            "self._buffered_inputs = None",
            "create_model_from_path(get_config_model_id(self.model.config), **model_init_kwargs)",
            'self._metrics = {"train": defaultdict(list)',
            "self.reward_weights = torch.tensor(args.reward_weights",
            'generation_kwargs["suppress_tokens"]',
            "generation_kwargs.update(args.generation_kwargs)",
            'outputs=("log_probs", "entropy")',
            "self.vllm_generation = VLLMGeneration(",
        ),
        "its counters, metrics and reward weights, how the reference model is made, what is never sampled",
    ),
    Member(
        f"{_GRPO}._get_train_sampler",
        ("dataset",),
        ("return RepeatSampler(", "mini_repeat_count=self.num_generations"),
        "a prompt's rollouts stand in a row over all ranks",
    ),
    Member(
        f"{_UTILS}:RepeatSampler.__init__",
        ("data_source",),
        ("self.generator", "self.num_samples"),
        "the sampler's generator and size",
    ),
    Member(
        f"{_UTILS}:RepeatSampler.__iter__",
        (),
        ("torch.randperm(self.num_samples, generator=self.generator)",),
        "one permutation an epoch, drawn from the sampler's generator",
    ),
    Member(
        f"{_GRPO}.training_step",
        ("model", "inputs", "num_items_in_batch"),
        ("self._step += 1",),
        "the counter of micro-batches",
    ),
    Member(
        f"{_GRPO}._prepare_inputs",
        ("generation_batch",),
        (
            "generate_every = self.args.steps_per_generation * self.num_iterations",
            "if self._step % generate_every == 0 or self._buffered_inputs is None:",
            "self._generate_and_score_completions(generation_batch)",
            "split_pixel_values_by_grid(generation_batch)",
            "shuffle_sequence_dict(generation_batch)",
            "self._buffered_inputs[self._step % self.args.steps_per_generation]",
        ),
        "when a rollout batch is made, and that it is buffered as micro-batches",
    ),
    Member(f"{_UTILS}:split_pixel_values_by_grid", ("batch",), (), "pixels by row"),
    Member(f"{_UTILS}:unsplit_pixel_values_by_grid", ("batch",), (), "pixels as one tensor again"),
    Member(
        f"{_GRPO}._tokenize_prompts",
        ("prompts",),
        ("return prompt_ids, images, multimodal_fields",),
        "prompts to ids, images and what the processor adds",
    ),
    Member(
        f"{_GRPO}._generate_single_turn",
        ("prompt_ids", "images", "multimodal_fields", "num_generations"),
        ("return completion_ids, logprobs", "self.vllm_generation.generate("),
        "sampling, by ids",
    ),
    Member(
        f"{_VLLM}._init_vllm",
        (),
        ("self.llm = LLM(", "model=model.name_or_path,"),
        "how vLLM is made beside the trainer, without a revision",
    ),
    Member(
        f"{_VLLM}._fix_param_name_to_vllm",
        ("name", "extra_prefixes"),
        ("return name",),
        "what weights are called towards vLLM",
    ),
    Member(
        f"{_VLLM}._place_features",
        ("features", "prompt_ids"),
        ('features["mm_placeholders"]["image"]',),
        "where a server is told that images are",
    ),
    Member(
        f"{_VLLM}.generate",
        ("prompts", "images", "num_generations", "profiler"),
        (
            "all_prompt_ids = [output.prompt_token_ids for output in all_outputs]",
            "return prompt_ids, completion_ids, logprobs, logprob_token_ids",
        ),
        "the prompts as vLLM expanded them",
    ),
    Member(
        f"{_GRPO}._generate",
        ("prompts",),
        (
            "return prompt_ids, completion_ids, tool_mask, completions, logprobs, extra_fields, images, "
            "tool_images",
        ),
        "the order of what sampling returns",
    ),
    Member(
        f"{_GRPO}._calculate_rewards",
        ("inputs", "prompts", "completions", "completion_ids_list"),
        ("rewards_per_func = gather(rewards_per_func)", "return rewards_per_func"),
        "the rewards of all ranks, one column a function",
    ),
    Member(
        f"{_GRPO}._log_completion_extra",
        ("column", "values"),
        ("self._pending_extra_logs[column].extend(values)",),
        "where what rewards say of single rollouts waits",
    ),
    Member(
        f"{_GRPO}._log_metric",
        ("name", "value"),
        ("self._pending_metrics[name].append(value)",),
        "how rewards log numbers",
    ),
    Member(
        f"{_GRPO}._generate_and_score_completions",
        ("inputs",),
        (
            ") = self._generate(prompts)",
            "rewards_per_func = self._calculate_rewards(inputs, prompts, completions, completion_ids_list)",
            '"advantages": advantages',
            '"completion_mask": completion_mask',
            '"num_items_in_batch": num_items_in_batch',
            "self.accelerator.process_index * len(prompts)",
            "self._pending_extra_logs.get(column, [None] * len(prompts))",
            'self._logs["extra"][column].extend(gather_object(values))',
            "if images is not None and self.log_multimodal:",
            'self._logs["images"].extend(gather_object(images))',
        ),
        "one dict of tensors in prompt order, before any shuffle; images gathered for tables alone",
    ),
    Member(
        f"{_GRPO}._get_per_token_logps_and_entropies",
        ("model", "input_ids", "attention_mask", "logits_to_keep"),
        ("outputs = model(**model_inputs, labels=labels, fused_lm_head=True)", "outputs.log_probs"),
        "one call of the model, whose fused head returns log-probs",
    ),
    Member(
        f"{_GRPO}.compute_loss",
        ("model", "inputs"),
        ("return self._compute_loss(model, inputs)",),
        "where a micro-batch becomes a loss",
    ),
    Member(
        f"{_GRPO}._compute_loss",
        ("model", "inputs"),
        (
            "if advantages.dim() == 1:",
            'inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes',
            "self.current_gradient_accumulation_steps / self.args.steps_per_generation",
            'inputs.get("old_per_token_logps")',
        ),
        "advantages [B, T], and how the token mean is normalised",
    ),
    Member(
        f"{_GRPO}.log", ("logs",), ("for key, val in self._metrics[mode].items():",), "metrics are averaged"
    ),
    Member(
        f"{_GRPO}._save_checkpoint",
        ("model", "trial"),
        ("self.create_model_card(", "super()._save_checkpoint(model, trial)"),
        "what a checkpoint holds",
    ),
    Member(f"{_GRPO}._load_optimizer_and_scheduler", ("checkpoint",), (), "where resuming reads"),
    Member(
        f"{_UTILS}:create_model_from_path",
        ("model_id", "architecture"),
        ("architecture.from_pretrained(model_id, **kwargs)",),
        "the class from which the reference model is made",
    ),
    Member("trl.data_utils:prepare_multimodal_messages", ("messages", "images"), (), "images into messages"),
    Member(
        "trl.rewards.other_rewards:get_soft_overlong_punishment",
        ("max_completion_len", "soft_punish_cache"),
        (),
        "DAPO's punishment of long answers",
    ),
    Member(f"{_TRAINER}._get_output_dir", ("trial",), ("run_dir = self.args.output_dir",), "where is saved"),
    Member(
        f"{_TRAINER}._save_checkpoint",
        ("model", "trial"),
        (
            "run_dir = self._get_output_dir(trial=trial)",
            "self._save_optimizer_and_scheduler(output_dir)",
            "self._save_rng_state(output_dir)",
            "self.state.save_to_json(",
        ),
        "weights, optimizer, scheduler, generators and state, all below one folder",
    ),
    Member(f"{_TRAINER}.evaluate", ("eval_dataset",), (), "measuring amid training"),
    Member(
        f"{_TRAINER}._evaluate",
        ("trial", "ignore_keys_for_eval", "skip_scheduler"),
        ("metrics = self.evaluate(ignore_keys=ignore_keys_for_eval)",),
        "what is measured reaches the learning rate's schedule",
    ),
    Member(
        f"{_TRAINER}._determine_best_metric",
        ("metrics", "trial"),
        (
            "self.state.best_global_step = self.state.global_step",
            'metric_to_check = f"eval_{metric_to_check}"',
        ),
        "which step is the best",
    ),
    Member(
        f"{_TRAINER}._load_best_model",
        (),
        ("self.state.best_model_checkpoint",),
        "the weights of the best step at the end",
    ),
    Member(
        f"{_TRAINER}._maybe_log_save_evaluate",
        (),
        (
            "metrics = self._evaluate(trial, ignore_keys_for_eval)",
            "self.control.should_save = is_new_best_metric",
        ),
        "a step is logged, then measured, then saved",
    ),
    Member(f"{_TRAINER}.init_hf_repo", (), ("create_repo(",), "a hub's repository, which is made elsewhere"),
    Member(
        f"{_TRAINER}._push_from_checkpoint",
        ("checkpoint_folder",),
        (),
        "uploads of checkpoints",
    ),
    Member(f"{_TRAINER}.push_to_hub", (), (), "the upload at the end, made elsewhere"),
    Member(f"{_TRAINER}.create_model_card", (), (), "TRL's model card"),
    Member(f"{_TRAINER}._load_from_checkpoint", ("resume_from_checkpoint", "model"), (), "weights come back"),
    Member(
        f"{_TRAINER}._init_training_state",
        ("max_steps", "num_update_steps_per_epoch", "num_train_epochs", "resume_from_checkpoint"),
        ("return epochs_trained, steps_trained_in_current_epoch",),
        "how many epochs lie behind",
    ),
    Member(
        f"{_TRAINER}._run_epoch",
        (),
        (
            "self._load_rng_state(resume_from_checkpoint)",
            "grad_norm = self._get_grad_norm(model, grad_norm=grad_norm)",
            "self.callback_handler.on_pre_optimizer_step(",
            "self.optimizer.step()",
        ),
        "generators come back before the first step, and the norm is known before the optimizer steps",
    ),
    Member(
        f"{_TRAINER}._get_grad_norm", ("model", "grad_norm"), ("return grad_norm",), "the gradient's norm"
    ),
)


def check_contract(members: tuple[Member, ...] = CONTRACT) -> None:
    """Compare what is installed with what we rely on.

    Raises:
        UserError: a member is gone or is not what it was; every one of them is named.
    """
    broken = broken_members(members)
    if broken:
        raise UserError(
            f"trl {version('trl')} with transformers {version('transformers')} is not what this release was "
            f"built on: {'; '.join(broken)}. Install the versions of constraints.txt, such as trl 1.16.0"
        )
