"""Who is asking: a token, a session, or somebody at this machine."""

import hmac
import logging
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import OperationalError
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from ..digest import digest_of
from ..models import ApiToken
from . import loopback

SCHEMES = (b"token", b"bearer")
logger = logging.getLogger(__name__)

USED_EVERY = timedelta(minutes=1)  # how exact `last_used_at` is; a write a request would cost more


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Token <key>``, or ``Bearer``; nowhere else, least of all in the address."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, ApiToken] | None:
        scheme, _, key = get_authorization_header(request).partition(b" ")
        if scheme.lower() not in SCHEMES:
            return None
        token = find_token(key.strip().decode("latin-1"))
        if token is None:
            raise AuthenticationFailed("This token is unknown, expired, or its user is disabled.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Token"


class LoopbackAuthentication(BaseAuthentication):
    """In the development profile: somebody at this machine. See ``loopback``."""

    def authenticate(self, request: Request) -> tuple[loopback.LocalUser, None] | None:
        return (loopback.LocalUser(), None) if loopback.admits(request._request) else None


def find_token(key: str) -> ApiToken | None:
    """The valid token with this key, marked as used."""
    digest = digest_of(key)
    token = ApiToken.objects.select_related("user").filter(digest=digest).first()
    if token is None or not hmac.compare_digest(token.digest, digest):
        return None
    now = timezone.now()
    if not token.user.is_active or (token.expires_at and token.expires_at <= now):
        return None
    if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
        _mark_as_used(token, now)
    return token


def _mark_as_used(token: ApiToken, now: datetime) -> None:
    try:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    except OperationalError as error:  # locked: that keeps nobody from looking
        logger.warning("The use of a token was not noted: %s", error)
