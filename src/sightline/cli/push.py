"""`sightline push RUN`: send a finished run's model, with its card, to a hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..engines.hub_upload import NotSentError, hub_of, send_run
from ..errors import UserError
from ..plain_files import Refused, read_plain
from ..run_folder import RunFolder
from . import DONE, FOUND_PROBLEMS, screen
from .arguments import VerbParser


def main(argv: Sequence[str]) -> int:
    """Send a run from the command line; what is not given is as its config.yaml has it."""
    args = parser().parse_args(list(argv))
    folder = RunFolder(Path(args.run))
    try:
        config = read_plain(folder.config)
    except (OSError, Refused) as error:
        raise UserError(f"{args.run} is no run: its config.yaml cannot be read ({error})") from error
    given = {name: value for name, value in vars(args).items() if value is not None}
    settings = {**(config if isinstance(config, dict) else {}), **given}
    try:
        repo = send_run(hub_of(settings, folder.path), folder, settings.get("spare_dir"))
    except NotSentError as error:
        screen.say(str(error))
        return FOUND_PROBLEMS
    screen.say(f"sent to {repo}")
    return DONE


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "push",
        "Send the trained model of a run, with its model card, to a hub.",
        "sightline push runs/demo --hub_model_id me/my-model",
    )
    options.add_argument("run", metavar="RUN", help="the folder of a finished run")
    options.add_argument("--hub_model_id", help="`name` or `owner/name` (default: the run's)")
    options.add_argument(
        "--hub_private_repo", action="store_true", default=None, help="make it a private one"
    )
    options.add_argument(
        "--hub_token", help="a token that may write (default: the one you are logged in with)"
    )
    options.add_argument("--hub_revision", help="a branch, made if it is not there")
    return options
