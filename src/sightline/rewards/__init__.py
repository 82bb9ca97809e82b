"""From text to verdicts and rewards: the grader, the format checks, and rewards with TRL's signature."""

from .format import papers_format, strict_format
from .grade import grade, grade_many
from .pool import Pool
from .protocols import PROTOCOLS
from .verdict import Verdict

__all__ = ["PROTOCOLS", "Pool", "Verdict", "grade", "grade_many", "papers_format", "strict_format"]
