"""The shapes in signatures are not decoration: a wrong one fails in every pure room."""

import pytest
import torch

from sightline import masked, objectives, shaping, signals, views

FLAT, BATCH = torch.zeros(3), torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (masked.row_mean, (FLAT, FLAT)),
        (masked.row_mean, (BATCH, torch.ones(2, 4))),
        (signals.sampled_k3, (BATCH, FLAT)),
        (signals.visual_focus, (torch.zeros(2, 3, 4), torch.zeros(2, 5))),
        (objectives.group_advantages, (FLAT, torch.zeros(2, dtype=torch.long))),
        (objectives.group_advantages, (FLAT, torch.zeros(3))),
        (signals.exact_kl, (BATCH, torch.zeros(2, 4))),
        (views.generator, (0, 0, b"not a name")),
    ],
)
def test_a_wrong_shape_or_type_fails(function, arguments):
    with pytest.raises(Exception, match=r"[Tt]ype-check"):
        function(*arguments)


def test_a_wrong_shape_fails_with_keywords_too():
    with pytest.raises(Exception, match=r"[Tt]ype-check"):
        shaping.top_fraction(BATCH, torch.ones(3, 3), keep=0.5)
