"""`sightline doctor`: can this machine train, and what to do where it cannot."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..engines.trl.settings.hardware import installed_vllm
from . import DONE, FOUND_PROBLEMS
from . import doctor_checks as verdicts
from .arguments import VerbParser
from .doctor_checks import BROKEN, Verdict


def main(argv: Sequence[str]) -> int:
    """Run every check; 1 if something that is needed is broken."""
    parser = VerbParser(
        "doctor",
        "Check versions, GPU, vLLM, disk and hub, and train the embedded model for two steps.",
        "sightline doctor",
    )
    parser.add_argument("--no_training", action="store_true", help="leave out the two training steps")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    args = parser.parse_args(argv)
    checks: list[tuple[str, Callable[[], Iterable[Verdict]]]] = [
        ("python", lambda: [verdicts.python(sys.version_info[:3], verdicts.needed_python())]),
        ("libraries", _libraries),
        ("GPU", verdicts.gpus),
        ("flash-attn", lambda: [verdicts.flash_attention()]),
        ("vLLM", lambda: [verdicts.vllm(installed_vllm())]),
        ("disk", _disks),
        ("hub", lambda: [verdicts.hub()]),
    ]
    if not args.no_training:
        checks.append(("training", lambda: [verdicts.training()]))
    found: list[Verdict] = []
    for subject, check in checks:
        for verdict in _survived(subject, check):
            found.append(verdict)
            if not args.json:
                print(_line(verdict), flush=True)
    broken = [verdict for verdict in found if verdict.state == BROKEN]
    if args.json:
        print(json.dumps({"broken": len(broken), "verdicts": [asdict(verdict) for verdict in found]}))
    else:
        print(_closing(broken, args.no_training))
    return FOUND_PROBLEMS if broken else DONE


def _survived(subject: str, check: Callable[[], Iterable[Verdict]]) -> list[Verdict]:
    """A check's verdicts; one that fails itself is a verdict too, so that the others are still made."""
    try:
        return list(check())
    except Exception as error:
        what = f"the check itself failed: {type(error).__name__}: {error}"
        return [Verdict(subject, BROKEN, what, "reinstall the library that the message names")]


def _line(verdict: Verdict) -> str:
    advice = f"\n{'':<21}→ {verdict.advice}" if verdict.advice else ""
    return f"{verdict.state:<7} {verdict.subject:<12} {verdict.found}{advice}"


def _closing(broken: Sequence[Verdict], untried: bool) -> str:
    if broken:
        return f"training will fail until this is repaired: {', '.join(v.subject for v in broken)}"
    return "nothing is broken" + ("; training was not tried" if untried else ", and training works")


def _libraries() -> list[Verdict]:
    tested, needed = verdicts.constraints(), verdicts.requirements()
    return verdicts.libraries(tested, needed, verdicts.installed_version)


def _disks() -> list[Verdict]:
    return [verdicts.disk("runs", Path.cwd()), verdicts.disk("hub cache", verdicts.hub_cache())]
