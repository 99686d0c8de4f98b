"""Contract tests that the author of a plug-in inherits: one module for each kind of plug-in, which needs pytest."""

from __future__ import annotations

from contextlib import suppress

with suppress(ImportError):
    import pytest

    for _kind in ("storages", "source_formats", "export_formats", "engines", "panels", "rules", "hooks"):
        pytest.register_assert_rewrite(f"{__name__}.{_kind}")
