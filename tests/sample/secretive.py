"""Task types with arguments that nobody is to see."""

import hashlib
import json

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


@task(takes_context=True)
def tell_token(context, token=None):
    """Tell what its parent has made: as it was given, or as it was looked up."""
    token = token or context.parents[0].return_value
    raise ValueError(f"This is not to be told: {token['token']!r}, in {token}")


def fingerprint(*parts):
    text = json.dumps(parts, sort_keys=True)  # Postgres keeps no order of keys
    return hashlib.sha256(text.encode()).hexdigest()
