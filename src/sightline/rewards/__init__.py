"""From text to verdicts and rewards: the grader, the format checks, and rewards with TRL's signature."""

from .accepted import grade_any
from .format import papers_format, strict_format
from .functions import REWARDS, Reward, accuracy_reward, format_reward, mixed, reward, text_of
from .grade import grade, grade_many
from .protocols import OF_EVERY_RUN, PROTOCOLS
from .user import guarded, load_reward
from .verdict import HOWS, Verdict
from .workers.pool import Pool

__all__ = [
    "HOWS",
    "OF_EVERY_RUN",
    "PROTOCOLS",
    "REWARDS",
    "Pool",
    "Reward",
    "Verdict",
    "accuracy_reward",
    "format_reward",
    "grade",
    "grade_any",
    "grade_many",
    "guarded",
    "load_reward",
    "mixed",
    "papers_format",
    "reward",
    "strict_format",
    "text_of",
]
