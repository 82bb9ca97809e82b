"""What we rely on inside verl, and a clear word when a release changes it."""

from __future__ import annotations

from importlib.metadata import version

from ...errors import UserError
from ..upstream_members import Member, broken_members

_TRAINER = "verl.trainer.ppo.v1.trainer_base:PPOTrainer"
_SYNC = "verl.trainer.ppo.v1.trainer_sync:PPOTrainerSync"
_BUFFER = "verl.trainer.ppo.v1.replay_buffer:ReplayBuffer"
_FSDP = "verl.workers.engine.fsdp.transformer_impl:FSDPEngine"
_HEAD = "verl.workers.engine.fsdp.transformer_impl:FSDPEngineWithLMHead"
_LOOP = "verl.experimental.agent_loop.agent_loop"

CONTRACT = (
    Member(
        f"{_TRAINER}.__init__",
        ("config",),
        (
            "self.replay_buffer = self._build_replay_buffer()",
            "self.trainer_mode = self.config.trainer.v1.trainer_mode",
        ),
        "the buffer is made by a method, and the trainer's mode is a word of its configuration",
    ),
    Member(
        f"{_TRAINER}._build_replay_buffer",
        (),
        (
            "max_off_policy_threshold=sampler_config.max_off_policy_threshold",
            "refill_fn=self._add_prompts_to_generate",
        ),
        "what a buffer is given",
    ),
    Member(
        f"{_TRAINER}.fit",
        ("agent_loop_manager",),
        (
            "self.on_train_begin()",
            "self.global_steps <= self.total_training_steps",
            "is_last_step = self.global_steps >= self.total_training_steps",
            "self._save_checkpoint() self.on_step_end()",
            "self._compute_metrics(batch, metrics, self.timing_raw",
        ),
        "the order of a step, and that a smaller total_training_steps ends the run after it",
    ),
    Member(
        f"{_TRAINER}._step_once",
        ("metrics", "timing_raw", "sample_batch_size"),
        (
            "batch = self._balance_batch(batch, metrics=metrics)",
            "batch = self._compute_old_log_prob(batch, metrics=metrics)",
            "batch = self._compute_advantage(batch, metrics=metrics)",
            "batch = self._update_actor(batch, metrics=metrics)",
        ),
        "scores are measured before advantages, over the whole batch",
    ),
    Member(
        f"{_TRAINER}._fetch_one_gen_batch",
        (),
        ('batch_dict["uid"] = np.array(', "return tu.get_tensordict(batch_dict)"),
        "prompts are named when they are fetched",
    ),
    Member(f"{_TRAINER}._add_prompts_to_generate", ("num_prompts",), (), "more prompts for dynamic sampling"),
    Member(
        f"{_TRAINER}._balance_batch",
        ("batch", "metrics"),
        ("upsample_batch_to_divisible_size(batch, batch_multiple", "batch.reorder("),
        "padding rows, then the order in which rows are dealt to ranks",
    ),
    Member(f"{_TRAINER}._get_required_batch_multiple", ("dp_size",), (), "the size a batch is padded to"),
    Member(
        f"{_TRAINER}._compute_old_log_prob",
        ("batch", "metrics"),
        (
            "batch.extra_info.update(",
            "self.actor_rollout_wg.compute_log_prob(batch)",
            '"old_log_probs", "entropy"',
        ),
        "what travels in extra_info reaches the workers, whose outputs are fields of the batch",
    ),
    Member(
        f"{_TRAINER}._compute_advantage",
        ("batch", "metrics"),
        ('fields = ["advantages", "returns"]', "response_to_nested(data.batch[field], response_mask)"),
        "advantages are a ragged field that may be written again",
    ),
    Member(
        f"{_TRAINER}._update_actor",
        ("batch", "metrics"),
        ("batch.extra_info.update(extra_info)", "self.actor_rollout_wg.update_actor(batch)", '"actor/"'),
        "what travels in extra_info reaches the loss, whose metrics come back behind actor/",
    ),
    Member(
        f"{_TRAINER}._compute_metrics",
        ("batch", "metrics"),
        (),
        "the last that is called with a step's metrics",
    ),
    Member(
        f"{_TRAINER}._save_checkpoint",
        (),
        ('self.config.trainer.default_local_dir, f"global_step_{self.global_steps}"', '"data.pt"'),
        "all of a checkpoint lies below one folder",
    ),
    Member(
        f"{_TRAINER}._load_checkpoint",
        (),
        ('.split("global_step_")[-1]',),
        "the step stands in a folder's name",
    ),
    Member(f"{_TRAINER}.on_train_begin", (), (), "called once before the first step"),
    Member(f"{_TRAINER}.on_step_begin", (), (), "called before prompts are fetched"),
    Member(
        f"{_SYNC}.on_step_end", (), ("update_weights(self.global_steps)",), "the sampler gets the new weights"
    ),
    Member(
        f"{_BUFFER}.__init__",
        (
            "trainer_mode",
            "trainer_config",
            "max_off_policy_threshold",
            "max_off_policy_strategy",
            "sampler_kwargs",
            "poll_interval",
            "refill_fn",
            "filter_groups_metric",
            "train_batch_size",
        ),
        ("self.finished_keys", "self.partitions"),
        "what a buffer is given and holds",
    ),
    Member(
        f"{_BUFFER}.sample",
        ("global_steps", "partition_id", "batch_size"),
        ("refill_credit += 2 * dapo_count + failed_count", "self._select_prompt_uids("),
        "two prompts for every group that is dropped, until enough are left",
    ),
    Member(
        f"{_BUFFER}._dapo_filtered_keys",
        ("partition_id",),
        ("return set(), Counter()",),
        "which groups to drop",
    ),
    Member(
        f"{_BUFFER}._select_prompt_uids",
        ("partition_id", "sampleable_keys", "batch_size"),
        (),
        "which to take",
    ),
    Member(
        f"{_BUFFER}._wait_for_next_poll", ("partition_id", "last_debug_time"), (), "called while it waits"
    ),
    Member(
        f"{_FSDP}.__init__",
        ("model_config", "engine_config", "optimizer_config", "checkpoint_config"),
        ("self._autocast_dtype",),
        "the dtype of a forward",
    ),
    Member(f"{_FSDP}.initialize", (), ("self._build_model_optimizer()",), "the wrapped model is built here"),
    Member(
        f"{_FSDP}._build_model_optimizer",
        (),
        ("module = self._build_module()", "self.module = module"),
        "the wrapped model",
    ),
    Member(f"{_FSDP}._build_module", (), (), "the model before it is wrapped"),
    Member(f"{_FSDP}._build_lora_module", ("module",), (), "the model with adapters"),
    Member(
        f"{_FSDP}._merged_lora_per_tensor_param",
        (),
        ("normalize_peft_param_name(self.module.state_dict())", "offload_fsdp_model_to_cpu("),
        "weights with adapters merged",
    ),
    Member(f"{_FSDP}.save_checkpoint", ("local_path",), (), "every rank saves under a path"),
    Member(f"{_FSDP}.get_per_tensor_param", (), (), "weights, gathered one by one"),
    Member(
        "verl.workers.engine.base:BaseEngine.infer_batch",
        ("data", "loss_function"),
        (),
        "log-probs of a batch",
    ),
    Member(
        f"{_HEAD}.prepare_model_inputs",
        ("micro_batch",),
        ('"attention_mask": attention_mask',),
        "a micro-batch as the model's inputs",
    ),
    Member(
        f"{_HEAD}.prepare_model_outputs",
        ("output", "output_args", "micro_batch", "logits_processor_func"),
        ('model_output["log_probs"] = log_probs',),
        "log-probs of prompt and response, ragged",
    ),
    Member(
        f"{_HEAD}.forward_step",
        ("micro_batch", "loss_function", "forward_only"),
        ("model_output=model_output, data=micro_batch",),
        "the loss is a function of outputs and the micro-batch",
    ),
    Member(
        "verl.workers.engine.base:EngineRegistry.register",
        ("model_type", "backend", "device", "vendor"),
        (),
        "an engine of a vendor",
    ),
    Member(
        "verl.trainer.ppo.core_algos:agg_loss",
        ("loss_mat", "loss_mask", "loss_agg_mode"),
        (),
        "the policy loss's aggregate",
    ),
    Member("verl.workers.utils.padding:no_padding_2_padding", ("tensor", "data"), (), "ragged to padded"),
    Member(
        "verl.workers.utils.padding:response_to_nested", ("tensor", "response_mask"), (), "padded to ragged"
    ),
    Member(
        "verl.trainer.ppo.padding_utils:upsample_batch_to_divisible_size",
        (),
        ("is_padding", 'pad_uid = f"pad{'),
        "padding rows, and how they are named",
    ),
    Member(
        f"{_LOOP}:AgentLoopWorker._compute_score",
        ("outputs", "kwargs"),
        ("**{k: np.array([v] * n) for k, v in kwargs.items()}",),
        "rewards see the columns of a row",
    ),
    Member(
        "verl.trainer.ppo.v1.agent_loop_tq:AgentLoopWorkerTQ.__ray_metadata__.modified_class._agent_loop_postprocess",
        ("output", "validate"),
        ("field.update(kwargs)",),
        "a row's columns, images among them, reach the workers",
    ),
    Member(
        "verl.experimental.agent_loop.single_turn_agent_loop:SingleTurnAgentLoop.run",
        ("sampling_params",),
        ('kwargs["raw_prompt"]', "sampling_params=sampling_params"),
        "one prompt, one response",
    ),
    Member(
        "verl.workers.config.model:HFModelConfig.__post_init__",
        (),
        ("import_external_libs(self.external_lib)", "self.processor = hf_processor("),
        "a model's processor is made by a global of its module, after external_lib was imported",
    ),
    Member(
        "verl.trainer.main_ppo:run_ppo",
        ("config", "task_runner_class"),
        ("runner.run.remote(config)",),
        "the run",
    ),
    Member(
        "verl.utils.config:validate_config",
        ("config", "use_reference_policy", "use_critic"),
        (),
        "verl's checks",
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
            f"verl {version('verl')} is not what this release was built on: {'; '.join(broken)}. "
            "Install verl 0.9.1"
        )
