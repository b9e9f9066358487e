"""REST as a test speaks it: JSON there, JSON back."""

import json

from django.contrib.auth.models import User


def caller(client, base="/api/"):
    """Log in who may do everything; return ``call(method, path, body)`` -> (code, answer)."""
    client.force_login(User.objects.create_superuser("root"))

    def call(method, path, body=None, **headers):
        text = json.dumps(body) if body is not None else ""
        answer = client.generic(
            method, f"{base}{path}", text, content_type="application/json", headers=headers
        )
        return answer.status_code, answer.json() if answer.content else None

    return call
