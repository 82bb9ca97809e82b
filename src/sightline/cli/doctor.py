"""`sightline doctor`: can this machine train, and what to do where it cannot."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..distribution import needed_python
from ..engines.vllm_versions import installed_vllm
from . import DONE, FOUND_PROBLEMS, doctor_checks
from .arguments import VerbParser
from .doctor_checks import BROKEN, CheckResult


def main(argv: Sequence[str]) -> int:
    """Run every check; 1 if something that is needed is broken."""
    args = parser().parse_args(argv)
    checks: list[tuple[str, Callable[[], Iterable[CheckResult]]]] = [
        ("python", lambda: [doctor_checks.python(sys.version_info[:3], needed_python())]),
        ("libraries", _libraries),
        ("GPU", doctor_checks.gpus),
        ("flash-attn", lambda: [doctor_checks.flash_attention()]),
        ("engines", _engines),
        ("vLLM", lambda: [doctor_checks.vllm(installed_vllm())]),
        ("disk", _disks),
        ("hub", lambda: [doctor_checks.hub()]),
        ("sharing", lambda: [doctor_checks.prompt_sharing(args.config)]),
    ]
    if not args.no_training:
        checks.append(("training", lambda: [doctor_checks.training()]))
    found: list[CheckResult] = []
    for subject, check in checks:
        for result in _survived(subject, check):
            found.append(result)
            if not args.json:
                print(_line(result), flush=True)
    broken = [result for result in found if result.state == BROKEN]
    if args.json:
        print(json.dumps({"broken": len(broken), "verdicts": [asdict(result) for result in found]}))
    else:
        print(_closing(broken, args.no_training))
    return FOUND_PROBLEMS if broken else DONE


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "doctor",
        "Check versions, GPU, vLLM, disk and hub, and train the embedded model for two steps.",
        "sightline doctor",
    )
    options.add_argument("--no_training", action="store_true", help="leave out the two training steps")
    options.add_argument("--json", action="store_true", help="print the results as JSON")
    options.add_argument("--config", help="a run's YAML, whose batch sizes are looked at")
    return options


def _survived(subject: str, check: Callable[[], Iterable[CheckResult]]) -> list[CheckResult]:
    """A check's results; a check that raises is reported as broken, and the others still run."""
    try:
        return list(check())
    except Exception as error:
        what = f"the check itself failed: {type(error).__name__}: {error}"
        return [CheckResult(subject, BROKEN, what, "reinstall the library that the message names")]


def _line(result: CheckResult) -> str:
    advice = f"\n{'':<21}→ {result.advice}" if result.advice else ""
    return f"{result.state:<7} {result.subject:<12} {result.found}{advice}"


def _closing(broken: Sequence[CheckResult], untried: bool) -> str:
    if broken:
        return f"training will fail until this is repaired: {', '.join(result.subject for result in broken)}"
    return "nothing is broken" + ("; training was not tried" if untried else ", and training works")


def _libraries() -> list[CheckResult]:
    tested, needed = doctor_checks.constraints(), doctor_checks.requirements()
    return doctor_checks.libraries(tested, needed, doctor_checks.installed_version)


def _engines() -> list[CheckResult]:
    return doctor_checks.engines(doctor_checks.engine_requirements(), doctor_checks.installed_version)


def _disks() -> list[CheckResult]:
    return [
        doctor_checks.disk("runs", Path.cwd()),
        doctor_checks.disk("hub cache", doctor_checks.hub_cache()),
    ]
