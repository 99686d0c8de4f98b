"""Posts notices to an address, as JSON: what chat services and alerting tools take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import ConfigError, EcomError

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.reports import Notice

SECONDS = 10.0
"""How long an answer may take."""

RETRIES = 4
"""How often it is tried again if there is no answer, or one that says that it may help: 429 and 5xx."""

_AGAIN = (429, 500, 502, 503, 504)


class Webhook:
    """A hook that posts each notice.

    The JSON object has ``text``, a sentence, which is what Slack, Mattermost and others show, and all that the notice
    holds.

    Parameters
    ----------
    url : str
        Where to. It is often a secret: it is in no log and no error.
    backoff : float
        Seconds before the second retry; they double.

    Raises
    ------
    ConfigError
        It is no address of the web.
    """

    name = "webhook"

    def __init__(self, url: str, *, backoff: float = 0.5) -> None:
        from urllib3 import PoolManager, Retry
        from urllib3.util import parse_url

        self._url = url
        self._host = parse_url(url).host
        if parse_url(url).scheme not in ("http", "https") or not self._host:
            raise ConfigError(
                "setting 'webhook_url' is no address", hint="it begins with https:// or http://", key="webhook_url"
            )
        retry = Retry(
            total=RETRIES,
            backoff_factor=backoff,
            status_forcelist=_AGAIN,
            allowed_methods=None,
            raise_on_status=False,
        )
        self._pool = PoolManager(retries=retry, timeout=SECONDS)

    def __repr__(self) -> str:
        return f"Webhook(host={self._host!r})"

    @classmethod
    def from_settings(cls, settings: Settings) -> Webhook:
        """The webhook of the setting ``webhook_url``."""
        if settings.webhook_url is None:
            raise ConfigError("the hook 'webhook' has no address", hint="set webhook_url", key="webhook_url")
        return cls(settings.webhook_url.get_secret_value())

    def __call__(self, notice: Notice) -> None:
        """Post it.

        Raises
        ------
        EcomError
            It was not taken, however often it was tried.
        """
        from urllib3.exceptions import HTTPError

        body: dict[str, Any] = {"text": f"ecom-analytics: {notice.message}", **notice.to_dict()}
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                body=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
                redirect=False,
            )
        except HTTPError as error:
            why = type(getattr(error, "reason", None) or error).__name__
            raise EcomError(f"the webhook at {self._host} was not reached: {why}", hint="check webhook_url") from None
        if answer.status >= 300:
            raise EcomError(f"the webhook at {self._host} answered {answer.status}", hint="check webhook_url")
