"""`sightline inspect MODEL`: which words of an answer came from the image, as one page and as data."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import yaml
from PIL import Image

from ..analysis import INSPECTION, write_inspection
from ..errors import UserError, unknown_name
from ..evaluation.run.answer_and_grade import answer
from ..evaluation.tokens.inspection import InspectOptions, Subject, given_answer, inspection
from ..methods import METHODS, Method, load_plugins, method
from ..models.generation.generate import Answer, Decoding, Prompt, generate
from ..models.loading import LoadedModel, load_model
from ..provenance import provenance
from ..run_folder import finite, fresh_name, open_run, write_text
from ..signals import SIGNALS
from ..tasks import DataOptions, held_out_or_all, load_task
from ..tasks.problem import Problem
from ..tasks.task_names import task_name
from ..views import VIEWS, View, rgb, view
from . import DONE, screen
from .arguments import VerbParser, positive
from .task_argument import FORMS, AskedTask, read_task

LIMIT, LONGEST = 64, 512
WEIGHTING = ("vppo", "pgpo", "vgpo")
"""Methods whose weights are shown where none is named."""


def main(argv: Sequence[str]) -> int:
    """Inspect one model from the command line."""
    args = parser().parse_args(list(argv))
    load_plugins(args.plugins)
    subject = _subject(args)
    wanted = _wanted(args)
    screen.quiet()
    loaded = _load(args)
    folder = open_run(args.output_dir or fresh_name("inspect"), overwrite=args.overwrite)
    screen.log_to(folder.log)
    started = time.perf_counter()
    subjects = subject.answered(loaded, args)
    found = inspection(loaded, subjects, wanted, lambda what: screen.say(f"computing {what}"))
    seconds = round(time.perf_counter() - started, 2)
    about = {"model": args.model, "task": subject.name, "arguments": vars(args), **provenance()}
    data = finite({**found, "about": {**about, "seconds": seconds}})
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    write_text(folder.config, yaml.safe_dump(about, sort_keys=True, allow_unicode=True))
    write_text(folder.path / INSPECTION, text + "\n")
    page = write_inspection(folder.path)
    if args.json:
        print(text)
        return DONE
    print(f"{len(subjects)} answers in {seconds:.0f} s; data: {folder.path / INSPECTION}")
    print(f"page: {page} ({page.stat().st_size / 1e6:.1f} MB)")
    return DONE


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "inspect",
        "See which words of a model's answers came from the image, token by token.",
        "sightline inspect embedded --task shapes --limit 64 --occlusion 3",
    )
    options.add_model()
    options.add_argument(
        "--device", default="auto", help="cpu, cuda, or auto: all GPUs there are, else the CPU (default)"
    )
    options.add_argument("--task", help=f"what is put to the model, its held-out problems: {FORMS}")
    options.add_argument("--image", help="instead of a task: one image,")
    options.add_argument("--question", help="with this question,")
    options.add_argument("--answer", help="and, instead of the model's, this answer")
    options.add_argument("--views", default="black,patches,text_only",
                        help=f"the image taken away as: {', '.join(VIEWS)}; the first ranks "
                        "tokens (default: black,patches,text_only)")  # fmt: skip
    options.add_argument("--methods", default=",".join(WEIGHTING),
                        help=f"whose weights to show: {', '.join(weighting())} "
                        f"(default: {','.join(WEIGHTING)})")  # fmt: skip
    options.add_argument("--signals", default="",
                        help=f"further signals to show: {', '.join(SIGNALS)}")  # fmt: skip
    options.add_argument("--plugins", help="modules or files with rules of your own, before all else")
    options.add_argument("--occlusion", type=_count, default=0, metavar="N",
                        help="map which parts of the image an answer's N highest tokens need, or of "
                        "all of them")  # fmt: skip
    options.add_argument("--cells", type=positive, default=8,
                        help="cells of a map along the longer side, at most (default 8)")  # fmt: skip
    options.add_argument(
        "--attention", action="store_true", help="record how much attention goes to the image"
    )
    options.add_argument("--answers", type=positive, default=1, help="answers per problem (default 1)")
    options.add_argument("--temperature", type=_temperature,
                        help="0 is greedy; default 0 for one answer, 1 for several")  # fmt: skip
    options.add_argument("--max_new_tokens", type=positive, default=LONGEST,
                        help=f"longest answer (default {LONGEST})")  # fmt: skip
    options.add_argument("--batch_size", type=positive, default=64, help="answers generated at once")
    options.add_results(f"number of problems (default {LIMIT})")
    return options


def _load(args: argparse.Namespace) -> LoadedModel:
    spread = {"device_map": "auto"} if args.device == "auto" and torch.cuda.is_available() else {}
    hub: dict[str, Any] = {"trust_remote_code": args.trust_remote_code, **spread}
    if args.device == "auto":
        return load_model(args.model, args.dtype, **hub)
    try:
        torch.zeros(1, device=args.device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {args.device} cannot be used: {str(error).splitlines()[0]}") from error
    loaded = load_model(args.model, args.dtype, **hub)
    model: Any = loaded.model
    return LoadedModel(model.to(args.device), loaded.processor, loaded.name)


def _count(text: str) -> int | None:
    return None if text == "all" else 0 if text == "0" else positive(text)


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text!r}")
    return value


def _wanted(args: argparse.Namespace) -> InspectOptions:
    views: list[View] = [view(name) for name in _names(args.views, list(VIEWS), "view")]
    if not views:
        raise UserError(f"--views names no view; expected at least one of {', '.join(VIEWS)}")
    chosen = _names(args.methods, weighting(), "method with weights")
    methods: list[Method] = [method(name) for name in chosen]
    signals = tuple(_names(args.signals, list(SIGNALS), "signal"))
    return InspectOptions(
        tuple(views), tuple(methods), args.occlusion, args.cells, args.attention, args.seed, signals
    )


def weighting() -> list[str]:
    """Methods whose weights differ from token to token, of plugins too."""
    return [name for name, build in METHODS.items() if name != "custom" and build().signals]


def _names(given: str, known: list[str], kind: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise unknown_name(kind, name, known)
    return names


# --- what is looked at -----------------------------------------------------------------------------


def _subject(args: argparse.Namespace) -> FromTask | FromImage:
    """The task or the image that the arguments ask for; what contradicts itself is an error."""
    single = {name: getattr(args, name) for name in ("image", "question", "answer")}
    given = [f"--{name}" for name, value in single.items() if value is not None]
    if not given:
        asked = read_task(args.task or "shapes")
        return FromTask(task_name(asked.task), asked)
    if args.task is not None or args.limit is not None:
        raise UserError(f"{given[0]} is about one image; leave out --task and --limit, or give those alone")
    if args.image is None or args.question is None:
        raise UserError(f"got {', '.join(given)}; one image takes --image and --question, and maybe --answer")
    if args.answer is not None and args.answers > 1:
        raise UserError("--answer gives the one answer there is; leave out --answers")
    return FromImage(args.image, _opened(args.image), args.question, args.answer)


def _decoding(args: argparse.Namespace) -> Decoding:
    temperature = args.temperature
    if temperature is None:
        temperature = 0.0 if args.answers == 1 else 1.0
    return Decoding(args.max_new_tokens, temperature, seed=args.seed)


@dataclass(frozen=True)
class FromTask:
    """Held-out problems of a task (all, if it holds none out), answered and graded."""

    name: str
    asked: AskedTask

    def answered(self, loaded: LoadedModel, args: argparse.Namespace) -> list[Subject]:
        """Every problem with its answers, those of one problem side by side."""
        options = {**self.asked.options, "structured_golds": True}
        task = load_task(self.asked.task, DataOptions(**options))
        found, line = held_out_or_all(task, args.limit or LIMIT)
        if line is not None:
            screen.say(line)
        problems = list(found)
        repeated = [problem for problem in problems for _ in range(args.answers)]
        screen.say(f"answering {len(repeated)} times")
        answered = answer(loaded, task, repeated, _decoding(args), batch_size=args.batch_size)
        return [
            Subject(problem, one, verdict.correct)
            for problem, one, verdict in zip(
                answered.problems, answered.answers, answered.verdicts, strict=True
            )
        ]


@dataclass(frozen=True)
class FromImage:
    """One image and one question, with an answer of the model's or the user's."""

    path: str
    image: Image.Image
    question: str
    text: str | None
    name: str = "one image"

    def answered(self, loaded: LoadedModel, args: argparse.Namespace) -> list[Subject]:
        """The answers, which nothing grades."""
        problem = Problem(self.path, self.question, (self.image,), answer="")
        content = [{"type": "image"}, {"type": "text", "text": self.question}]
        prompt = Prompt([{"role": "user", "content": content}], (self.image,))
        if self.text is not None:
            return [Subject(problem, given_answer(loaded, prompt, self.text), None)]
        found: list[Answer] = generate(
            loaded.model, loaded.processor, [prompt] * args.answers, _decoding(args)
        )
        return [Subject(problem, one, None) for one in found]


def _opened(path: str) -> Image.Image:
    try:
        with Image.open(path) as file:
            return rgb(file)
    except (OSError, Image.DecompressionBombError, ValueError) as error:
        raise UserError(
            f"cannot read --image {path}: {error}; expected an image that Pillow opens"
        ) from error
