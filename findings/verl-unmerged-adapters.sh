#!/usr/bin/env bash
# verl 0.9.1: with model.lora.merge=True under FSDP2, adapters outside the wrapped blocks never reach the sampler.
#
# `merged_lora_context` is what weights are taken under for vLLM or SGLang. For FSDP2 it merges block by block and
# skips the root, so adapters of modules that the root itself holds stay unmerged: with target_modules=all-linear on
# a vision-language model those are, among others, the projector between vision tower and language model. The
# trainer trains and scores with them, the sampler samples without them, and nothing says so.
#
# Seen with verl 0.9.1, torch 2.13.0, peft 0.21.2, Python 3.11:
#   wrapped block: merged True
#   held by the root: merged False
# PYTHON=... takes an environment that has these instead of building one (about five minutes).
set -euo pipefail
if [ -z "${PYTHON:-}" ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check 'verl[verl-core]==0.9.1' torch==2.13.0 peft==0.21.2
  PYTHON="$folder/bin/python"
fi
MASTER_ADDR=127.0.0.1 MASTER_PORT=29517 RANK=0 WORLD_SIZE=1 "$PYTHON" - <<'PY' 2>/dev/null
import torch
import torch.distributed as dist
from peft import LoraConfig, get_peft_model
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from verl.utils.fsdp_utils import merged_lora_context

dist.init_process_group("gloo")
torch.manual_seed(0)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.block = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False))
        self.projector = torch.nn.Linear(4, 4, bias=False)


model = get_peft_model(Model(), LoraConfig(r=2, target_modules=["block.0", "projector"]))
for name, value in model.named_parameters():
    if "lora_B" in name:
        torch.nn.init.normal_(value)
inner = model.base_model.model
expected = {}
for name, layer in (("block", inner.block[0]), ("projector", inner.projector)):
    delta = layer.get_delta_weight("default").detach()
    expected[name] = layer.get_base_layer().weight.detach().clone() + delta
mesh = init_device_mesh("cpu", (1,))
fully_shard(inner.block, mesh=mesh)
fully_shard(model, mesh=mesh)
with merged_lora_context(model, backup_adapters=True):
    found = {name: value.full_tensor().clone() for name, value in model.state_dict().items() if "base" in name}
merged = {
    kind: torch.allclose(next(value for name, value in found.items() if kind in name), expected[kind], atol=1e-6)
    for kind in expected
}
print("wrapped block: merged", merged["block"])
print("held by the root: merged", merged["projector"])
dist.destroy_process_group()
assert merged == {"block": True, "projector": False}, "verl has changed"
PY
