"""VPPO (arXiv 2510.09285): gradient only where the image decides, more for rollouts that depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UserError
from ..objectives import objective as make_objective
from ..shaping import Step, shaping
from ..value_checks import between, one_of
from .method import MIN_RANGE, Method, view_for

SIGNAL = {"paper": "exact_kl", "released": "sampled_k3"}
VIEW = {"paper": "patches", "released": {"name": "patches", "per": "rollout", "stage": "budget"}}
SCALE_MIN = 0.9
_SHARE = between(0, 1, above=True)
FILTERS = ("count", "mass", "entropy", "union")


def vppo(
    *,
    keep: float = 0.4,
    scale_min: float = SCALE_MIN,
    scale_max: float | None = None,
    filter_by: str = "count",
    entropy_keep: float = 0.2,
    signal: str | None = None,
    scale_signal: str | None = None,
    view: Any = None,
    minibatch: int | None = None,
    microbatch: int | None = None,
    objective: Any = "dapo",
    variant: str = "paper",
    min_range: float = MIN_RANGE,
) -> Method:
    """A·α_i·mask_t: Eq. 3 to 5.

    Args:
        keep: k, the share of a rollout that keeps its gradient; in (0, 1].
        scale_min: β_min, the smallest α; in [0, 1e+06].
        scale_max: β_max, the largest α; in [0, 1e+06]. None: so that the mean α is 1.
        filter_by: "count" keeps k of the tokens, "mass" the fewest that hold k of the summed score,
            "entropy" the `entropy_keep` of highest entropy, "union" those of "count" and of "entropy".
        entropy_keep: the share of tokens of highest entropy; in (0, 1].
        signal: what scores a token; None: the variant's, "exact_kl", or "sampled_k3" if released.
        scale_signal: what α reads; None: `signal`.
        view: the second view, with its options; None: patches, one drawing for all rollouts of a prompt at
            the model's size, or one for each of them within the pixel budget if released.
        minibatch: rows of the batch within which α has its smallest and largest mean, released only; in
            [1, 1e+09] or None, the whole batch.
        microbatch: rows within which the mean sets β_max, released only; in [1, 1e+09] or None.
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        variant: "paper" or "released", the authors' code.
        min_range: a range of scores up to this is constant; in [0, 1e+06], in the unit of the scores.

    `variant="released"` with `filter_by="entropy"`: its code applies no α, so the options of α are refused.
    """
    one_of("paper", "released")("variant of vppo", variant)
    one_of(*FILTERS)("filter_by of vppo", filter_by)
    for name, share in {"keep": keep, "entropy_keep": entropy_keep}.items():
        _SHARE(name, share)  # also of a filter that does not read it
    released = variant == "released"
    if not released and (minibatch is not None or microbatch is not None):
        raise UserError(
            "vppo: minibatch and microbatch belong to variant='released'; the paper has one batch"
        )
    without_alpha = released and filter_by == "entropy"
    if without_alpha:
        alpha = {
            "scale_min": scale_min,
            "scale_max": scale_max,
            "signal": signal,
            "scale_signal": scale_signal,
        }
        _refuse_alpha(alpha | {"minibatch": minibatch, "microbatch": microbatch})
    else:
        signal = SIGNAL[variant] if signal is None else signal
        scale_signal = signal if scale_signal is None else scale_signal
    shapings = [_filter(filter_by, signal or SIGNAL[variant], keep, entropy_keep)]
    if scale_signal is not None:
        blocks = {"minibatch": minibatch, "microbatch": microbatch} if released else {}
        bounds = {"scale_min": scale_min, "scale_max": scale_max}
        shapings.append(shaping("trajectory_weights", scale_signal, **bounds, **blocks))
    return Method(
        name="vppo",
        variant=variant,
        options={"signal": signal, "scale_signal": scale_signal},
        objective=make_objective(objective, entropy_penalty=0.06, dual_clip=3.0 if released else None),
        view=view_for(shapings, view, VIEW[variant]),
        shapings=tuple(shapings),
        min_range=min_range,
    )


def _filter(filter_by: str, signal: str, keep: float, entropy_keep: float) -> Step:
    """The shaping that says which tokens are kept."""
    if filter_by == "count":
        return shaping("top_fraction", signal, keep=keep)
    if filter_by == "mass":
        return shaping("top_mass", signal, share=keep)
    if filter_by == "entropy":
        return shaping("top_fraction", "entropy", keep=entropy_keep)
    return shaping("top_fraction_union", (signal, "entropy"), keep=keep, other_keep=entropy_keep)


def _refuse_alpha(options: Mapping[str, Any]) -> None:
    """Refuse options of α where the released code applies none."""
    if given := [name for name, value in options.items() if value not in (None, SCALE_MIN)]:
        raise UserError(
            f"vppo: the released code applies no α with filter_by='entropy', so that {', '.join(given)} "
            "would do nothing; leave that out, or use variant='paper'"
        )
