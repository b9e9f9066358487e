"""``manage.py doctor``: whether the system is set up so that it can keep what it promises."""

from .advice import Advice, Level
from .examination import CHECKS, examine
from .patient import Patient

__all__ = ["CHECKS", "Advice", "Level", "Patient", "examine"]
