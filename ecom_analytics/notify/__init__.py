"""Tells someone what went wrong in a run, or what its figures are: by a webhook, or by hooks of your own."""

from ecom_analytics.notify.checks import notices
from ecom_analytics.notify.sending import send, telling_of_failure

__all__ = ["notices", "send", "telling_of_failure"]
