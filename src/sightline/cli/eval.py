"""`sightline eval MODEL --benchmarks ...`: accuracy with intervals, blind tests, and a page of samples."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ..analysis.pages.results import write_results_page
from ..errors import UserError, unknown_name
from ..evaluation.backends import Backend
from ..evaluation.backends.local import LocalBackend
from ..evaluation.benchmarks import (
    BENCHMARKS,
    SUITES,
    Suite,
    benchmark,
    read_benchmarks,
    suite,
)
from ..evaluation.benchmarks.benchmark import Benchmark
from ..evaluation.benchmarks.load import OpenBenchmark, open_benchmark
from ..evaluation.benchmarks.locate import fetched
from ..evaluation.benchmarks.own_task import DRAWN, open_pairs, open_task
from ..evaluation.run.ask import EvalPlan, ask, expected
from ..evaluation.run.jsonl_records import SIGHTED
from ..evaluation.run.results import write_results
from ..evaluation.run.results_folder import ResultsFolder
from ..evaluation.run.start import describe, processor_name, start_run, weights_name
from ..evaluation.tokens.token_scores import score_tokens
from ..models.loading import LoadedModel, load_model
from ..models.threads import one_thread_if_small
from ..rewards import PROTOCOLS
from ..run_folder import check_free, finite, fresh_name, open_run
from ..tasks import DataOptions, held_out_or_all, load_task
from ..tasks.dataset_task import DatasetTask
from ..tasks.mixture import Mixture
from ..tasks.task_names import task_name
from ..views import VIEWS, PixelView, view
from . import DONE, FOUND_PROBLEMS, INTERRUPTED, screen
from .arguments import VerbParser, positive
from .eval_plan import main as plan_main
from .score import print_results, say_undecided
from .task_argument import FORMS, AskedTask, read_task

BLIND_VIEWS = {name: kind for name, kind in VIEWS.items() if issubclass(kind, PixelView)}
LOCAL, VLLM = "hf", "vllm"
TOKEN_SCORES = 64


def main(argv: Sequence[str]) -> int:
    """Evaluate one model from the command line."""
    if any(word == "--plan" or word.startswith("--plan=") for word in argv):
        return plan_main(argv)
    args = parser().parse_args(list(argv))
    started = time.perf_counter()
    chosen = suite(args.suite) if args.suite else None
    plan, protocol = _plan(args, chosen), args.protocol or (chosen.protocol if chosen else "strict")
    asked = read_task(args.task) if args.task else None
    options = _options(args, chosen, asked)
    _check_output(args)
    screen.quiet()
    benchmarks = _open(args, chosen, options, asked)
    backend, loaded = _backend(args, benchmarks)
    run = open_run(args.output_dir or fresh_name("eval"), overwrite=args.overwrite, resume=args.resume)
    folder = ResultsFolder(run.path)
    screen.log_to(folder.log)
    settings = describe(
        args.model, backend.name, benchmarks, plan, _prompt_settings(options), _origin(args, protocol, loaded)
    )
    start_run(folder, settings, benchmarks)
    try:
        _ask(folder, benchmarks, plan, backend)
        if loaded is not None and args.token_scores:
            _score_tokens(folder, benchmarks, loaded, args)
    except KeyboardInterrupt:
        again = [word for word in argv if word not in ("--overwrite", "--resume")]
        if not args.output_dir:
            again += ["--output_dir", str(folder.path)]
        screen.say(f"interrupted; go on with: sightline eval {shlex.join([*again, '--resume'])}")
        return INTERRUPTED
    results = write_results(folder, protocol, partial=args.partial)
    write_results_page(folder.path)
    seconds = time.perf_counter() - started
    if args.json:
        print(json.dumps(finite({**results, "output_dir": str(folder.path)})))
    else:
        print_results(results, folder, f"{seconds:.0f} s; ")
    return _failures(results, folder)


def _failures(results: Mapping[str, Any], folder: ResultsFolder) -> int:
    failed = sum(
        measured["counts"]["failed"]
        for found in results["benchmarks"].values()
        for measured in found["views"].values()
    )
    say_undecided(results, folder)
    if failed:
        screen.say(
            f"{failed} samples failed and are counted as neither right nor wrong; the same command with "
            f"--output_dir {folder.path} --resume asks them again"
        )
    return FOUND_PROBLEMS if failed else DONE


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "eval",
        "Measure a model on benchmarks, with 95 % intervals clustered by problem.",
        "sightline eval embedded --benchmarks shapes --limit 128 --blind black",
    )
    options.add_model()
    add = options.add_argument
    add("--revision", help="commit, tag or branch of a hub model")
    add("--benchmarks", help=f"names with commas between (default: shapes): {', '.join(BENCHMARKS)}")
    add("--suite", help=f"a paper's benchmarks, decoding and protocol: {', '.join(SUITES)}")
    add("--task", help=f"the held-out problems of a task of training, as train takes it: {FORMS}")
    add("--pairs", action="store_true", help="minimal pairs of drawn worlds, or of sets that have any: both "
        "sides right, answers that change when they must and stay when they must")  # fmt: skip
    add("--benchmark_file", help="a YAML file with benchmarks of your own")
    add("--data_dir", help="a folder with local copies of sets, such as DATA_DIR/MathVista")
    add(
        "--accept_differences",
        action="store_true",
        help="evaluate sets whose size or golds are not as expected; the results say so",
    )
    add("--protocol", choices=sorted(PROTOCOLS), help="whose verdicts are the run's (default: strict)")
    add("--samples", type=positive, help="answers per problem (default 1)")
    add("--temperature", type=_not_negative, help="0 is greedy (default)")
    add("--top_p", type=_share, default=1.0, help="sample from this much of the mass (default 1)")
    add("--blind", default="", help=f"also measure with the image as: {', '.join(BLIND_VIEWS)}")
    add("--token_scores", type=_count, help=f"answers per benchmark whose tokens are scored against a black "
        f"image (default {TOKEN_SCORES}; 0: none; --backend hf only)")  # fmt: skip
    add("--max_new_tokens", type=positive, help="longest answer (default: the benchmark's)")
    add(
        "--prompt_template",
        help="papers (default), plain, boxed, or a .jinja file; shapes and shapes-2 have their own",
    )
    add("--system_prompt", help="a system turn before the question")
    add("--min_pixels", type=positive, help="images are enlarged to this many pixels")
    add("--max_pixels", type=positive, help="images are reduced to this many pixels")
    add("--backend", default=LOCAL, help=f"{LOCAL} (default), {VLLM}, or a server's address ending in /v1")
    add("--batch_size", type=positive, default=128, help="requests at once; halved when memory runs out "
        "(default 128)")  # fmt: skip
    add("--concurrency", type=positive, default=16, help="requests under way at a server (default 16)")
    add("--timeout", type=_seconds, default=300.0, help="seconds a server may take to answer (default 300)")
    add("--tries", type=positive, default=3, help="attempts per request at a server (default 3)")
    add("--device", default="auto", help="cpu, cuda, or auto: all GPUs there are, else the CPU (default)")
    add("--resume", action="store_true", help="go on with the run in output_dir")
    add("--partial", action="store_true", help="give figures though over 2 %% of the samples are missing")
    add("--plan", metavar="POINTS", help="measure nothing: how many problems and samples find a difference "
        "of so many points; see sightline eval --plan 2 --help")  # fmt: skip
    options.add_results("use only the first N problems of each benchmark")
    return options


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < 100:
        raise argparse.ArgumentTypeError(f"expected a temperature of at least 0, got {text}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share in (0, 1], got {text}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text}")
    return value


def _count(text: str) -> int:
    return 0 if text == "0" else positive(text)


def _names(given: str, known: Iterable[str], kind: str) -> list[str]:
    """Names separated by commas, each once and each known."""
    names = list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    for name in names:
        if name not in list(known):
            raise unknown_name(kind, name, known)
    return names


def _plan(args: argparse.Namespace, chosen: Suite | None) -> EvalPlan:
    temperature = args.temperature if args.temperature is not None else chosen.temperature if chosen else 0.0
    samples = args.samples or (chosen.samples if chosen and temperature > 0 else 1)
    if samples > 1 and temperature == 0:
        raise UserError(f"--samples {samples} at temperature 0 would repeat one answer; give --temperature 1")
    blind: dict[str, Any] = {name: view(name) for name in _names(args.blind, BLIND_VIEWS, "blind view")}
    return EvalPlan(
        {SIGHTED: None, **blind}, samples, temperature, args.top_p, args.max_new_tokens, args.seed
    )


def _options(args: argparse.Namespace, chosen: Suite | None, asked: AskedTask | None) -> DataOptions:
    """How problems are put: as flags say, else the recipe of a task, else the suite."""
    smallest = args.min_pixels or (chosen.min_pixels if chosen else None)
    largest = args.max_pixels or (chosen.max_pixels if chosen else None)
    given = {
        "prompt_template": args.prompt_template,
        "system_prompt": args.system_prompt,
        "min_pixels": smallest,
        "max_pixels": largest,
    }
    flags = {name: value for name, value in given.items() if value is not None}
    recipe = {} if asked is None else {**asked.options, "structured_golds": False}
    return DataOptions(**{**recipe, **flags})


def _prompt_settings(options: DataOptions) -> dict[str, Any]:
    return {
        "template": options.prompt_template or "papers",
        "system_prompt": options.system_prompt,
        "min_pixels": options.min_pixels,
        "max_pixels": options.max_pixels,
    }


def _check_output(args: argparse.Namespace) -> None:
    """Wrong use of the folder is said before a model is loaded."""
    if not args.resume:
        if args.output_dir:
            check_free(args.output_dir, args.overwrite)
        return
    if not args.output_dir:
        raise UserError("--resume needs --output_dir, the folder of the run to go on with")
    if args.overwrite:
        raise UserError("--resume goes on with a run and --overwrite replaces it; give one of them")
    folder = ResultsFolder(Path(args.output_dir))
    if folder.path.is_dir() and any(folder.path.iterdir()):
        folder.settings()


def _open(
    args: argparse.Namespace, chosen: Suite | None, options: DataOptions, asked: AskedTask | None
) -> list[OpenBenchmark]:
    own = read_benchmarks(args.benchmark_file) if args.benchmark_file else {}
    opened = [] if asked is None else [_open_task(asked, options, args.limit, args.pairs)]
    if opened and not (args.benchmarks or chosen or own):
        return opened
    given = args.benchmarks or ",".join(chosen.benchmarks if chosen else own or ["shapes"])
    names = _names(given, {**BENCHMARKS, **own}, "benchmark")
    if args.pairs:
        names = list(dict.fromkeys(_of_pairs(name, own) for name in names))
        names = [name for name in names if name not in {one.name for one in opened}]
    if not names and not opened:
        raise UserError(f"--benchmarks names none; valid: {', '.join([*own, *BENCHMARKS])}")
    for name in names:
        wanted = benchmark(name, own)
        if fetched(wanted, args.data_dir):
            screen.say(f"{name}: fetching {wanted.source} from the hub, or what is kept of it")
        opened.append(
            open_benchmark(
                name,
                wanted,
                options=options,
                data_dir=args.data_dir,
                accept_differences=args.accept_differences,
                limit=args.limit,
            )
        )
    return opened


PAIRED = ("paired", "natural_bench", "mmvp")
"""Scores that are of pairs."""


def _of_pairs(name: str, own: Mapping[str, Benchmark]) -> str:
    """The benchmark of minimal pairs that a name stands for.

    Raises:
        UserError: it has no pairs.
    """
    if f"{name}:pairs" in BENCHMARKS and name not in own:
        return f"{name}:pairs"
    if benchmark(name, own).aggregate in PAIRED:
        return name
    raise UserError(
        f"--pairs: {name} has no pairs; expected shapes, shapes-2, natural_bench, mmvp, or a set of your own "
        "whose entry says which column pairs its rows (paired: {pair: COLUMN})"
    )


def _open_task(asked: AskedTask, options: DataOptions, limit: int | None, pairs: bool) -> OpenBenchmark:
    task = load_task(asked.task, options)
    if pairs:
        return open_pairs(task, task_name(asked.task), limit)
    drawn = not isinstance(task, DatasetTask | Mixture)
    problems, line = held_out_or_all(task, limit or (DRAWN if drawn else None))
    if line is not None:
        screen.say(line)
    return open_task(task, problems, task_name(asked.task))


def _backend(
    args: argparse.Namespace, benchmarks: Sequence[OpenBenchmark]
) -> tuple[Backend, LoadedModel | None]:
    """Who answers; the loaded model too, if it is in this process."""
    if args.token_scores and args.backend != LOCAL:
        raise UserError(f"--token_scores needs the model's states, so --backend {LOCAL}")
    if args.backend == LOCAL:
        if args.token_scores is None:
            args.token_scores = TOKEN_SCORES
        loaded = _load(args)
        return LocalBackend(loaded, args.batch_size), loaded
    if args.backend == VLLM:
        from ..evaluation.backends.vllm import VllmBackend

        return VllmBackend(
            args.model, args.dtype, revision=args.revision, trust_remote_code=args.trust_remote_code
        ), None
    if args.revision:
        raise UserError("--revision belongs to a model that is loaded here; a server serves what it serves")
    from ..evaluation.backends.prompt_guard import PromptGuard
    from ..evaluation.backends.server import ServerBackend

    guard = PromptGuard.of(args.model) if Path(args.model).is_dir() else None
    if guard is not None and (why := guard.trouble()):
        screen.say(f"if {args.backend} runs vLLM, do not trust these numbers: {why}")
    return ServerBackend(
        args.backend,
        args.model,
        concurrency=args.concurrency,
        seconds=args.timeout,
        tries=args.tries,
        guard=guard,
    ), None


def _load(args: argparse.Namespace) -> LoadedModel:
    hub: dict[str, Any] = {"trust_remote_code": args.trust_remote_code, "revision": args.revision}
    if args.device == "auto":
        spread: dict[str, Any] = {"device_map": "auto"} if torch.cuda.is_available() else {}
        loaded = load_model(args.model, args.dtype, **hub, **spread)
    else:
        try:
            torch.zeros(1, device=args.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"--device {args.device} cannot be used: {reason}") from error
        loaded = load_model(args.model, args.dtype, **hub)
        model: Any = loaded.model
        loaded = LoadedModel(model.to(args.device), loaded.processor, loaded.name)
    one_thread_if_small(loaded, loaded.model.device)
    return loaded


def _origin(args: argparse.Namespace, protocol: str, loaded: LoadedModel | None) -> dict[str, Any]:
    """What the results do not depend on by definition, but a reader wants to know."""
    found: dict[str, Any] = {"protocol": protocol, "suite": args.suite, "limit": args.limit}
    if loaded is not None:
        found |= {"dtype": str(loaded.model.dtype), "device": str(loaded.model.device)}
        found["checkpoint"] = getattr(loaded.model.config, "_commit_hash", None)
        found["weights"] = weights_name(loaded.model)
        found["processor"] = processor_name(loaded.processor)
    elif args.backend == VLLM:
        found |= {"dtype": args.dtype, "checkpoint": args.revision}
    return found if args.backend in (LOCAL, VLLM) else {**found, "server": args.backend}


def _ask(
    folder: ResultsFolder, benchmarks: Sequence[OpenBenchmark], plan: EvalPlan, backend: Backend
) -> None:
    title = benchmarks[0].name if len(benchmarks) == 1 else f"{len(benchmarks)} benchmarks"
    with tqdm(total=expected(benchmarks, plan), desc=title, unit="answer", dynamic_ncols=True) as bar:

        def begin_with(stored: int) -> None:
            bar.initial = bar.n = stored  # what was there before says nothing about the speed
            bar.refresh()

        ask(folder, benchmarks, plan, backend, begin_with, bar.update)


def _score_tokens(
    folder: ResultsFolder, benchmarks: Sequence[OpenBenchmark], loaded: LoadedModel, args: argparse.Namespace
) -> None:
    total = sum(min(args.token_scores, len(b.items)) for b in benchmarks)
    with tqdm(total=total, desc="scoring tokens", unit="answer", dynamic_ncols=True) as bar:
        score_tokens(folder, benchmarks, loaded, args.token_scores, seed=args.seed, progress=bar.update)
