"""How the scoring pass grows with the response, the group and the prompt, in time and memory.

python benchmarks/growth.py [--smallest] [--device cuda --dtype bfloat16 --shape 3b]

The model and both sides of benchmarks/scoring.py, one prompt, a black second view, exact KL and visual
focus. Each size runs once, time and memory together; memory is the rise of the process's peak. The last rows
give the exponent with which both sides grow from the second-largest size to the largest: 1 is linear. In T
no way to run the model can be linear, since each token attends to those before it: the multiplications that
its responses cannot do without grow so, too. The plot goes to growth.svg beside the rows.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from measuring import Meter, Row, arguments, report
from measuring.models import SHAPES, model, processor, rollouts
from measuring.plot import Panel, write
from scoring import SIGNALS, plain, plain_inputs

from sightline.methods import Needs
from sightline.models.scoring.score import score
from sightline.views import Black

GRIDS = {300: (9, 25), 600: (18, 25), 1300: (25, 39), 2600: (39, 50), 40: (4, 6), 80: (6, 10)}
"""Image tokens, three quarters of a prompt."""
SWEEPS = {
    "T": [(600, size, 2) for size in (256, 512, 1024, 2048, 4096)],
    "G": [(600, 256, size) for size in (2, 4, 8, 16)],
    "P": [(size, 256, 4) for size in (300, 600, 1300, 2600)],
}
SMALLEST = {"T": [(40, 8, 2), (40, 16, 2)], "G": [(40, 8, 2), (40, 8, 4)], "P": [(40, 8, 2), (80, 8, 2)]}
NEEDED = "multiplications needed grow with T as"
TITLES = {"T": "response tokens T", "G": "rollouts of a prompt G", "P": "prompt tokens P"}


def measured(chosen: Any, size: tuple[int, int, int], args: Any) -> tuple[Row, Row]:
    """Time and memory at P, T, G."""
    feed, meter = processor(), Meter(args.device)
    prompt, response, group = size
    batch = rollouts(SHAPES[args.shape], GRIDS[prompt], prompt, response, group, args.device)
    both = plain_inputs(chosen, feed, batch, Black())
    needs = Needs(SIGNALS, Black(), second_view_gradient=False)

    def ours() -> Any:
        return score(chosen, feed, batch, needs, seed=0, step=0)

    name = f"P={prompt}, T={response}, G={group}"
    mine, other = (meter.spent(side) for side in (ours, lambda: plain(chosen, both, batch)))
    return tuple(
        Row(f"{what}, {name}", a, b, a / max(b, 1e-9), unit)
        for what, unit, a, b in zip(("time", "memory"), ("s", "MB"), mine, other, strict=True)
    )


def exponent(sizes: list[float], values: list[float]) -> float:
    """Of growth over the last doubling."""
    (a, b), (x, y) = sizes[-2:], (max(value, 1e-9) for value in values[-2:])
    return math.log(y / x) / math.log(b / a)


def needed(chosen: Any, prompt: int, response: int) -> float:
    """Multiplications of a response behind a prompt that has run: weights, attention to earlier tokens."""
    text = chosen.config.get_text_config()
    layers = sum(p.numel() for p in chosen.get_decoder().layers.parameters())
    weights = layers + chosen.get_output_embeddings().weight.numel()
    attention = 2 * text.num_hidden_layers * text.hidden_size
    return response * (weights + attention * (prompt + response / 2))


def main() -> None:
    parser = arguments(__doc__, devices=True)
    parser.set_defaults(shape="20m", dtype="float32")
    args = parser.parse_args()
    torch.set_num_threads(1)
    chosen = model(SHAPES[args.shape], args.device, args.dtype)
    measured(chosen, (40, 8, 2), args)  # warms up
    rows: list[Row] = []
    grown: list[Row] = []
    panels: list[Panel] = []
    for name, sweep in (SMALLEST if args.smallest else SWEEPS).items():
        found = [measured(chosen, size, args) for size in sweep]
        sizes = [float(size["PTG".index(name)]) for size in sweep]
        for kind, series in zip(("time", "memory"), zip(*found, strict=True), strict=True):
            rows += series
            lines = {side: [getattr(row, side) for row in series] for side in ("ours", "plain")}
            panels.append(Panel(kind, series[0].unit, TITLES[name], sizes, lines))
            powers = [exponent(sizes, values) for values in lines.values()]
            ratio = powers[0] / powers[1] if powers[1] else 0.0
            grown.append(Row(f"{kind} grows with {name} as", *powers, ratio, "exponent"))
        if name == "T":
            power = exponent(sizes, [needed(chosen, prompt, response) for prompt, response, _ in sweep])
            grown.append(Row(NEEDED, power, power, 1.0, "exponent"))
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out / "growth.svg", [*panels[0::2], *panels[1::2]], columns=3)
    report(args.out / "growth.json", rows + grown, "Growth of the scoring pass", args.device)


if __name__ == "__main__":
    main()
