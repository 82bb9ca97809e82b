#!/usr/bin/env bash
# verl 0.9.1: `actor_rollout_ref.actor.freeze_vision_tower=True` is accepted and does nothing.
#
# The key stands in trainer/config/actor/actor.yaml ("Whether to freeze vision model, if set true, it will be
# freeze vision model") and in the dataclass ActorConfig. No other line of the package reads it: on FSDP the
# vision tower of a vision-language model is trained all the same, and nothing says so. (Megatron has keys of its
# own below model.lora.)
#
# Seen with verl 0.9.1, Python 3.11:
#   verl/workers/config/actor.py:161:    freeze_vision_tower: bool = False
# This script fails if a release names it anywhere else, that is, once something reads it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" verl==0.9.1
cd "$folder"
grep -rn "freeze_vision_tower: false" verl/trainer/config/actor/actor.yaml
found=$(grep -rn --include='*.py' "freeze_vision_tower" verl)
echo "$found"
[ "$(wc -l <<<"$found")" = 1 ] && grep -q "verl/workers/config/actor.py:.*freeze_vision_tower: bool = False" <<<"$found"
echo "verl 0.9.1 declares freeze_vision_tower and never reads it"
