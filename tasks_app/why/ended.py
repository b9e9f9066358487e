"""Why a finished task ended as it did."""

from collections.abc import Iterator

from ..api.task_view import rfc3339
from ..message import Attempt
from ..note import note_of
from ..results import CRASHED, attempts_of_run
from ..states import Status
from ..words import clock, many, span
from .reason import Reason
from .scene import Scene
from .waiting import error_in

NEVER = Attempt()


def ended_reasons(scene: Scene) -> Iterator[Reason]:
    """How it ended; and whether the history has that yet."""
    attempts = attempts_of_run(scene.state)
    last = attempts[-1] if attempts else NEVER
    tell = {
        Status.COMPLETED: _completed,
        Status.FAILED: _failed,
        Status.CANCELLED: _cancelled,
        Status.EXPIRED: _expired,
    }[scene.state.status]
    yield tell(scene, last)
    if scene.standing.is_known:
        waits = many(scene.standing.unrecorded, "change")
        yield Reason(
            "unrecorded",
            f"The history does not have this yet: {waits} wait for the recorder.",
            {"unrecorded": scene.standing.unrecorded},
        )


def _completed(scene: Scene, last: Attempt) -> Reason:
    seconds = max(0, last.ended_us - last.started_us) / 1e6
    number = scene.state.failures + 1
    said = f"It completed on the worker {last.worker} after {span(seconds)}"
    if number > 1:
        said += f", at attempt {number} of {scene.message.max_attempts}"
    numbers = {"worker": last.worker, "attempt": number, "seconds": seconds}
    return Reason("completed", f"{said}.", numbers | _end(scene))


def _failed(scene: Scene, last: Attempt) -> Reason:
    state, most = scene.state, scene.message.max_attempts
    numbers = {
        "failures": state.failures,
        "max_attempts": most,
        "crashes": state.crashes,
        "error_type": last.error_type,
        "error": last.error,
    } | _end(scene)
    if last.outcome == CRASHED:
        return Reason("poison", note_of(state), numbers)
    error = error_in(last)
    if most == 1:
        return Reason("failed", f"It failed with {error}. It had one attempt.", numbers)
    failed = f"Attempt {state.failures} of {most} failed with {error}."
    if state.failures < most:
        return Reason("given_up", f"{failed} After that error it is not tried again.", numbers)
    return Reason("failed", f"{failed} There was no other attempt left.", numbers)


def _cancelled(scene: Scene, last: Attempt) -> Reason:
    by = last.error or "It was cancelled."
    return Reason("cancelled", by, _end(scene))


def _expired(scene: Scene, last: Attempt) -> Reason:
    expires_us = scene.message.expires_us
    return Reason(
        "expired",
        f"Nobody had begun it by {clock(expires_us)}, when it expired.",
        {"expires": rfc3339(expires_us)} | _end(scene),
    )


def _end(scene: Scene) -> dict[str, str | None]:
    return {"ended_at": rfc3339(scene.state.changed_ms * 1000)}
