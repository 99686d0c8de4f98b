"""Gives notices to every hook; one that fails is logged, and stops nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from ecom_analytics import plugins
from ecom_analytics.logs import log
from ecom_analytics.protocols import Hook
from ecom_analytics.reports import Notice, plain

if TYPE_CHECKING:
    from ecom_analytics.config import Settings


def hooks(settings: Settings) -> dict[str, Hook]:
    """The hooks that the settings name, and the webhook if it has an address.

    Raises
    ------
    PluginError
        There is no such hook.
    """
    names = [*settings.hooks, *(["webhook"] if settings.webhook_url else [])]
    return {name: _hook(name, settings) for name in dict.fromkeys(names)}


def _hook(name: str, settings: Settings) -> Hook:
    kind: Any = plugins.load("hooks", name)
    if hasattr(kind, "from_settings"):
        return cast(Hook, kind.from_settings(settings))
    return cast(Hook, kind() if isinstance(kind, type) else kind)


def send(settings: Settings, notices: Iterable[Notice]) -> None:
    """Tell all hooks."""
    told = list(notices)
    if not told:
        return
    for name, hook in hooks(settings).items():
        for notice in told:
            try:
                hook(notice)
            except Exception as error:  # noqa: BLE001  whatever it does: the run is what matters
                log.warning("a hook failed", hook=name, notice=notice.kind, error=f"{type(error).__name__}: {error}")


@contextmanager
def telling_of_failure(settings: Settings, run_id: str, name: str) -> Iterator[None]:
    """Tell all hooks if the block fails."""
    hooks(settings)  # one that is missing is told before anything is done
    try:
        yield
    except Exception as error:
        facts = {"run": name, "error": type(error).__name__, **_known(error)}
        message = f"{name} failed: {getattr(error, 'message', error)}"
        send(settings, [Notice("run_failed", message, run_id, None, datetime.now(UTC), facts)])
        raise


def _known(error: Exception) -> dict[str, Any]:
    """What the error tells that fits into a message."""
    facts = getattr(error, "facts", {})
    failed = [check["name"] for check in facts.get("checks", ())]
    found: dict[str, Any] = {"hint": getattr(error, "hint", "")}
    if failed:
        found["failed_tests"] = failed
    if "models" in facts:
        found["failed_models"] = plain(facts["models"])
    return found
