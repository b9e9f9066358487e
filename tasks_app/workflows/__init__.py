"""Tasks that wait for other tasks: chains, groups, chords and any other graph without a cycle."""

from ..call import Call
from .parts import Chain, Group, chain, chord, group
from .result import WorkflowResult, get_workflow
from .workflow import Step, Workflow

__all__ = [
    "Call",
    "Chain",
    "Group",
    "Step",
    "Workflow",
    "WorkflowResult",
    "chain",
    "chord",
    "get_workflow",
    "group",
]
