"""Panels of the dashboard: what each shows, on which page, and where its rows come from.

A panel is a plug-in of the group ``ecom_analytics.panels``; the built-in ones, in ``builtin``, come the same way.
"""

from __future__ import annotations

from ecom_analytics.panels.listing import PANEL_ROUTES, Shown, panels

__all__ = ["PANEL_ROUTES", "Shown", "panels"]
