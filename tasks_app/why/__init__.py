"""Why a task is where it is: the reasons in words, the most telling first."""

from .explanation import Explanation, explain
from .reason import Reason

__all__ = ["Explanation", "Reason", "explain"]
