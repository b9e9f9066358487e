"""Why a task that nobody holds does not run."""

from collections.abc import Iterator

from ..api.task_view import rfc3339
from ..broker import broker
from ..message import Attempt
from ..note import KEY_MISSING, LOST, UNKNOWN_TYPE, note_of
from ..results import CRASHED, attempts_of_run
from ..states import Status
from ..words import clock, span, times
from .hindrances import hindrances
from .limited import limit_reasons
from .order import order_of
from .parents import parent_reasons
from .reason import Reason
from .scene import Scene

NEVER = Attempt()
LONGEST_ERROR = 200  # characters of a message in a sentence


def waiting_reasons(scene: Scene) -> Iterator[Reason]:
    """The most telling first."""
    attempts = attempts_of_run(scene.state)
    last = attempts[-1] if attempts else NEVER
    held_up = list(hindrances(scene, last))
    if scene.outboxed is not None:
        yield _outboxed(scene)
    elif scene.state.status is Status.PENDING:
        yield from held_up
        yield order_of(scene, is_held_up=bool(held_up))
    elif scene.state.status is Status.WAITING:
        parents = list(parent_reasons(scene)) if scene.message.has_parents else []
        # What holds its queue up comes after that, as does its limit.
        yield from parents
        yield from held_up
        if not parents:
            yield from limit_reasons(scene)
    elif last.error_type in (UNKNOWN_TYPE, KEY_MISSING):  # put off for that, not by its own wish
        yield from held_up
    else:
        yield _moment(scene, last)
        yield from held_up
    yield from _stuck(scene)
    yield from _doubt(scene, last)


def _outboxed(scene: Scene) -> Reason:
    """Its transaction has committed, and Redis does not have it yet."""
    row = scene.outboxed
    said = "It is in the outbox: its transaction has committed, and it comes into its queue next."
    if row.reason:
        said = f"It is in the outbox: its queue refused it {times(row.tries)}. {row.reason}"
    return Reason("outbox", said, {"tries": row.tries, "reason": row.reason})


def _moment(scene: Scene, last: Attempt) -> Reason:
    """What has to come before it is ready."""
    if scene.state.status is Status.RETRYING:
        return _retrying(scene, last)
    return _scheduled(scene, last)


def _stuck(scene: Scene) -> Iterator[Reason]:
    """Its moment has come, and nobody is there to notice."""
    missed = _missed(scene)
    if missed and broker().fleet.leader() is None:
        yield Reason("no_coordinator", f"{missed}: start a worker, or `manage.py runcoordinator`.")


def _missed(scene: Scene) -> str:
    """What a coordinator would have done by now; "" if there is nothing."""
    now_us, due_ms = scene.now_ms * 1000, scene.standing.due_ms
    if scene.outboxed is not None:
        is_over = scene.outboxed.turn_us < now_us
        return "No coordinator runs that would bring it there" if is_over else ""
    if 0 < scene.message.expires_us <= now_us:
        return "It has expired, but no coordinator runs that would end it"
    if due_ms is not None and due_ms < scene.now_ms:
        return "Its moment has come, but no coordinator runs that would put it into its queue"
    return ""


def _doubt(scene: Scene, last: Attempt) -> Iterator[Reason]:
    """It was, or may have been, running when a process died."""
    if last.error_type == LOST and scene.state.status is not Status.RETRYING:
        code = "crashed" if last.outcome == CRASHED else "suspect"
        yield Reason(code, note_of(scene.state), {"crashes": scene.state.crashes})


def _scheduled(scene: Scene, last: Attempt) -> Reason:
    due_ms = _due_ms(scene, scene.message.run_after_us // 1000)
    seconds = (due_ms - scene.now_ms) / 1000
    numbers = {"due_at": rfc3339(due_ms * 1000), "due_in_seconds": round(seconds, 3)}
    if seconds <= 0:
        return Reason("scheduled", f"It has been due for {span(-seconds)}.", numbers)
    when = f"in {span(seconds)}, at {clock(due_ms * 1000)}."
    if last.snoozes:
        numbers["snoozes"] = last.snoozes
        return Reason("snoozed", f"It asked to be run later: it goes on {when}", numbers)
    if scene.message.debounce:
        said = f"It waits for a newer one of its key, which would replace it; it is due {when}"
        return Reason("debounced", said, numbers)
    return Reason("scheduled", f"It is due {when}", numbers)


def _retrying(scene: Scene, last: Attempt) -> Reason:
    state, most = scene.state, scene.message.max_attempts
    due_ms = _due_ms(scene, scene.now_ms)
    seconds = (due_ms - scene.now_ms) / 1000
    numbers = {
        "failures": state.failures,
        "max_attempts": most,
        "next_at": rfc3339(due_ms * 1000),
        "next_in_seconds": round(seconds, 3),
    }
    said = f"Attempt {state.failures} of {most} failed"
    if last.outcome == CRASHED:
        said = "The process that ran it died"
    elif last.error_type:
        said += f" with {error_in(last)}"
        numbers |= {"error_type": last.error_type, "error": last.error}
    when = f"in {span(seconds)}, at {clock(due_ms * 1000)}" if seconds > 0 else "any moment"
    return Reason("retrying", f"{said}. The next attempt comes {when}.", numbers)


def error_in(attempt: Attempt) -> str:
    """An error as part of a sentence: "ValueError: no such file"."""
    name = attempt.error_type.rpartition(".")[2]
    message = " ".join(attempt.error.split())
    if len(message) > LONGEST_ERROR:
        message = message[: LONGEST_ERROR - 1] + "…"
    return f"{name}: {message.rstrip('.')}" if message else name


def _due_ms(scene: Scene, otherwise_ms: int) -> int:
    return otherwise_ms if scene.standing.due_ms is None else scene.standing.due_ms
