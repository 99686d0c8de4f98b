"""Who may ask: nobody in particular, whoever has the token, whom a callable lets in, or who has a signed link."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ecom_analytics.answers import Route
from ecom_analytics.answers.filters import DIMENSIONS
from ecom_analytics.dashboard.bodies import problem
from ecom_analytics.errors import ConfigError

if TYPE_CHECKING:
    from flask import Request, Response
    from itsdangerous import URLSafeTimedSerializer

    from ecom_analytics.config import Settings

Authenticate = Callable[["Request"], Any]
"""Whether a request is let in: true or false."""

SALT = "ecom-analytics embed"
LONGEST = 4000
"""Characters of a signed token."""
_PAGE = ("meta", "metrics", "capabilities", "panels", "notices")
"""What a page needs to be drawn at all. What it tells of the whole is left out by the API."""


class DeniedError(Exception):
    """The request is not let in."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    def response(self) -> Response:
        answer = problem(self.status, "Not signed in" if self.status == 401 else "Not allowed", self.detail)
        if self.status == 401:
            answer.headers.add("WWW-Authenticate", 'Basic realm="ecom analytics", charset="UTF-8"')
            answer.headers.add("WWW-Authenticate", "Bearer")
        return answer


@dataclass(frozen=True)
class Caller:
    """Who asks, and what is left out for them.

    Attributes
    ----------
    filters : mapping
        Dimension → values; ``bots`` may be among them.
    """

    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Any, ...]:
        return tuple(sorted(self.filters.items()))

    @property
    def hides(self) -> bool:
        return bool(self.filters)

    def narrowed(self, route: Route, given: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """What may be asked of what was asked: values outside of the forced ones are none.

        Raises
        ------
        DeniedError
            The route cannot leave out what must be left out.
        """
        found: dict[str, Sequence[str]] = dict(given)
        if not self.filters:
            return found
        known = {parameter.name for parameter in route.parameters}
        if not set(self.filters) <= known:
            if route.path in _PAGE:
                return found
            raise DeniedError(403, "this link shows a part of the data only, and this cannot be told of a part")
        for name, forced in self.filters.items():
            asked = [value for value in given.get(name, forced) if value in forced]
            if not asked:
                raise DeniedError(403, f"this link shows other values of {name} only")
            found[name] = asked
        return found


class Access:
    """Lets requests in.

    Parameters
    ----------
    settings : Settings
        ``dashboard_token`` and ``embed_secret``.
    authenticate : callable, optional
        Is given the request; what is false is refused.
    """

    def __init__(self, settings: Settings, authenticate: Authenticate | None = None) -> None:
        token, secret = settings.dashboard_token, settings.embed_secret
        self._token = token.get_secret_value() if token else None
        self._secret = secret.get_secret_value() if secret else None
        self._authenticate = authenticate

    @property
    def is_protected(self) -> bool:
        """Whether one must say who asks."""
        return self._token is not None or self._authenticate is not None

    def check(self, request: Request) -> Caller:
        """Who asks.

        Raises
        ------
        DeniedError
        """
        signed = request.args.get("token")
        if signed is not None:
            return self._signed(signed)
        if self._authenticate is not None:
            if not self._authenticate(request):
                raise DeniedError(401, "sign in first")
        elif self._token is not None and not _has(request, self._token):
            raise DeniedError(401, "give the token as a bearer token, or as the password of any user")
        return Caller()

    def _signed(self, text: str) -> Caller:
        from itsdangerous import BadData

        if self._secret is None:
            raise DeniedError(403, "signed links are not switched on here")
        try:
            told, signed_at = _signer(self._secret).loads(text[:LONGEST], return_timestamp=True)
        except BadData:
            raise DeniedError(403, "the link is not a valid one") from None
        if datetime.now(UTC) > signed_at + timedelta(seconds=told["seconds"]):
            raise DeniedError(403, "the link has expired")
        return Caller({name: tuple(values) for name, values in told["filters"].items()})


def embed_token(
    settings: Settings, filters: Mapping[str, str | Sequence[str]] | None = None, *, valid_for: timedelta
) -> str:
    """A token for links to a part of the dashboard: whoever has it sees only what the filters let through.

    Parameters
    ----------
    settings : Settings
        ``embed_secret`` signs it.
    filters : mapping, optional
        Dimension → value or values; ``bots`` may be ``out``.
    valid_for : datetime.timedelta
        How long.

    Returns
    -------
    str
        The value of the parameter ``token``: ``/?embed=1&token=…``.

    Raises
    ------
    ConfigError
        There is no secret, or no such dimension.

    Examples
    --------
    >>> from ecom_analytics import Settings
    >>> settings = Settings(embed_secret="a long random text, of 32 characters or more")
    >>> token = embed_token(settings, {"brand": "Alder"}, valid_for=timedelta(hours=1))
    """
    if settings.embed_secret is None:
        raise ConfigError("there is no embed_secret to sign with", hint="set it to a long random text")
    chosen = {name: [values] if isinstance(values, str) else list(values) for name, values in (filters or {}).items()}
    unknown = [name for name in chosen if name not in (*DIMENSIONS, "bots")]
    if unknown or any(not values for values in chosen.values()):
        raise ConfigError(
            f"a link cannot be filtered by {', '.join(unknown) or 'no value'}",
            hint=f"give values of {', '.join(DIMENSIONS)} or bots",
        )
    seconds = int(valid_for.total_seconds())
    return str(_signer(settings.embed_secret.get_secret_value()).dumps({"filters": chosen, "seconds": seconds}))


def _signer(secret: str) -> URLSafeTimedSerializer:
    from itsdangerous import URLSafeTimedSerializer

    return URLSafeTimedSerializer(secret, salt=SALT)


def _has(request: Request, token: str) -> bool:
    """Whether the request carries the token, as a bearer token or as a password."""
    given = request.authorization
    if given is None:
        return False
    said = given.token if given.type == "bearer" else given.password if given.type == "basic" else None
    return said is not None and hmac.compare_digest(str(said).encode(), token.encode())
