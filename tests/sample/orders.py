"""The tasks of an ordinary project, for the tests of tasks_app.testing."""

import logging

from django.contrib.auth import get_user_model
from django.db import connections, router, transaction
from django.utils import timezone

import tasks_app
from tasks_app.compat import task

logger = logging.getLogger(__name__)


@task
def sign_up(name, friends=()):
    """Make a user, and enqueue the same for each friend."""
    get_user_model().objects.create(username=name)
    for friend in friends:
        sign_up.enqueue(friend)
    return get_user_model().objects.count()


@task
async def sign_up_in_a_coroutine(name):
    """Make a user by the asynchronous ORM."""
    await get_user_model().objects.acreate(username=name)
    return await get_user_model().objects.acount()


@task
def sign_up_then_fail(name):
    """Make a user that stays, for there is no transaction, and one that does not."""
    get_user_model().objects.create(username=name)
    with transaction.atomic():
        get_user_model().objects.create(username=f"{name} again")
        raise ValueError("Broken on purpose.")


@task
def break_the_transaction(name):
    """Make a user, and have the database refuse a statement outside of any transaction."""
    get_user_model().objects.create(username=name)
    with connections[router.db_for_write(get_user_model())].cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")


@task
def leave_a_transaction_open(name):
    get_user_model().objects.create(username=name)
    transaction.set_autocommit(False)
    get_user_model().objects.create(username=f"{name} again")


@task(max_attempts=3, backoff=60)
def fail_twice():
    """Fail on the first two attempts."""
    attempt = tasks_app.current().attempt
    if attempt < 3:
        raise ValueError(f"Attempt {attempt} fails.")
    return attempt


@task
def fail():
    raise ValueError("Broken on purpose.")


@task
def say_when():
    """Return the moment."""
    return timezone.now().isoformat()


@task
def greet_when_stored(name):
    """Make a user, and greet when that is certain."""
    with transaction.atomic():
        get_user_model().objects.create(username=name)
        transaction.on_commit(lambda: sign_up.enqueue(f"greeter of {name}"))


@task
def count_in_steps(steps):
    """Count in steps, each of them stored; return at which step this attempt began."""
    context = tasks_app.current()
    first = context.state.get("next", 0)
    for step in range(first, steps):
        context.state["next"] = step + 1
        context.save()
    return first


@task
def say_much():
    """Tell of itself in all ways."""
    context = tasks_app.current()
    context.progress(1, 2, "half")
    context.log("by the context")
    logger.warning("by logging")


@task(timeout=0.2)
def run_without_end():
    while True:
        timezone.now()


@task
def go_on_for_ever():
    go_on_for_ever.enqueue()
