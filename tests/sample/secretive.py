"""Task types with arguments that nobody is to see."""

import hashlib

from tasks_app.compat import task

OPTIONS = {"sensitive": ["password", "card.number"]}


@task(**OPTIONS, unique=["password"], per=["card.number"], rate="1000/s")
def log_in(user, password, card=None):
    """Return what proves that the secret has arrived, and does not tell it."""
    return fingerprint(user, password, card)


@task(**OPTIONS, max_attempts=2, backoff=0)
def log_in_wrongly(user, password, card=None):
    raise ValueError(f"{user} cannot log in with {password!r}, nor with {card}")


@task(sensitive=["seed", "return"], takes_context=True)
async def make_token(context, seed):
    return {"token": f"token of {seed}", "args": context.task_result.args}


@task(sensitive=True)
def keep_quiet(*words, **more):
    return [*words, *more.values()]


def fingerprint(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()
