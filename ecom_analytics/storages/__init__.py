"""Where named bytes lie: a local folder or S3, each a plug-in of the kind ``storages``, picked by the address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecom_analytics import plugins
from ecom_analytics.protocols import Storage
from ecom_analytics.storages.s3_client import storage_options

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

__all__ = ["open_storage", "storage_options"]


def open_storage(address: str, settings: Settings) -> Storage:
    """The storage at an address: ``s3://bucket/prefix``, or a folder.

    Nothing is read, written or made by opening it.

    Parameters
    ----------
    address : str
        A folder, or ``scheme://…``, whose scheme names the plug-in; a folder is the plug-in ``file``.
    settings : Settings

    Raises
    ------
    PluginError
        No installed package offers the scheme.

    Examples
    --------
    >>> from ecom_analytics import Settings
    >>> open_storage("/data/shop/lake", Settings()).uri("raw/a.csv")
    '/data/shop/lake/raw/a.csv'
    """
    scheme, separator, _ = address.partition("://")
    storage: Storage = plugins.load("storages", scheme if separator else "file")(address, settings)
    return storage
