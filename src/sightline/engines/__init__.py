"""Where methods meet training. `engine("trl")` gives an engine by name, imported only then.

A folder here holds one engine, a plug-in of an upstream training library. The modules beside the folders
are what engines share; they know no engine and no training library. An engine is one module
`engines/NAME/engine.py` with the functions of the protocol `Engine` and a row in `ENGINES`. Its rules:

It is given a `Method` and reads from it
- `method.needs`: the signals to measure, the second view, whether that view is differentiated, the layer;
- `method.objective`: clip range, aggregation, advantage scale, reference KL, group selection;
- `credit.loss_terms(method)`: extra loss terms. It never asks which paper it runs.

For every rollout batch it must
1. find rollouts that no forward takes (`invalid_responses.valid_responses`) and never sample a multimodal
   placeholder (`image_placeholders`);
2. measure the scores once, under the policy that sampled, with `models.scoring.score`, before the batch is
   shuffled or split, inside one wrapped forward (`wrapped_forward`) where weights may be sharded;
3. leave out rows that are invalid or without finite scores (`invalid_responses.left_out`) and count them;
4. form `credit.token_advantages`: A·w [B, T] from statistics over the whole batch and all ranks (`Ranks`);
   a prompt's rollouts are those with equal `group_ids`, wherever they are;
5. train on A·w under the objective, and add `coefficient · aggregate(term)` for every loss term, aggregated
   as the policy loss is;
6. skip an optimizer step whose loss or gradient is not finite, store its batch, count it;
7. log the metrics of `metric_names` and give `HealthWarnings`.
Dynamic sampling (`dynamic_sampling.fill`) replaces uninformative groups before step 2.

For a run it leaves, in its `RunFolder`: metrics.jsonl (`progress.MetricsFile`), checkpoints that are
complete or not there (`checkpoints.publish`) and from which a resumed run continues with the same numbers, a
model card in each (`model_card`), and model/ in Hugging Face form. It stops with a checkpoint
on Ctrl-C and SIGTERM (`progress.CleanStop`), and with `StoppedError` when it cannot continue.
"""

from .checkpoints import StoppedError
from .registry import ENGINES, Credit, Engine, Settings, Trained, engine

__all__ = ["ENGINES", "Credit", "Engine", "Settings", "StoppedError", "Trained", "engine"]
