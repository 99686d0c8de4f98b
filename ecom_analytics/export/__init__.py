"""The fourth stage: public marts to files that never change, and manifests that say which of them are an export.

::

    <destination>/manifests/00000007.json            an export: its build, tables, columns, files, sizes and hashes
    <destination>/latest.json                        names the newest manifest, for readers that list nothing
    <destination>/runs/<run>/<mart>.<format>         the rows of a mart; or, of a large mart with a date,
    <destination>/runs/<run>/<mart>/<month>.<format>
    <destination>/delta/<mart>/                      formats that are tables: one for each mart

The manifest with the highest number is the newest export. It is written last and only if its number is free, so an
export is there whole or not at all. Files that did not change are those of an older run.
"""

from ecom_analytics.export.exporter import Exporter
from ecom_analytics.export.manifests import LATEST, ExportedFile, ExportedMart, Manifest

__all__ = ["LATEST", "ExportedFile", "ExportedMart", "Exporter", "Manifest"]
