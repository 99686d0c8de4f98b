"""DuckDB's own way to S3: the extension ``httpfs``, out of a wheel, where one of DuckDB's version is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecom_analytics.engines.duckdb import DuckDBEngine

_WHEEL = "duckdb_extension_httpfs"


def extension_file() -> Path | None:
    """The extension's file, if the wheel ``duckdb-extension-httpfs`` of DuckDB's version is installed."""
    import duckdb

    spec = find_spec(_WHEEL)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder, "extensions", f"v{duckdb.__version__}", "httpfs.duckdb_extension")
        if file.is_file():
            return file
    return None


def open_s3(engine: DuckDBEngine, bucket: str, options: Mapping[str, str]) -> bool:
    """Let an engine read a bucket; again, with other credentials, if called again.

    Parameters
    ----------
    engine : DuckDBEngine
    bucket : str
    options : mapping of str
        As :func:`ecom_analytics.storages.storage_options` gives them.

    Returns
    -------
    bool
        False where the extension is not installed.
    """
    file = extension_file()
    if file is None:
        return False
    engine.execute("LOAD '" + str(file).replace("'", "''") + "'")
    given = _secret(bucket, options)
    names = ", ".join(f"{name} ${name.lower()}" for name in given)
    values = {name.lower(): value for name, value in given.items()}
    engine.execute(f"CREATE OR REPLACE SECRET lake (TYPE s3, {names})", values)
    return True


def _secret(bucket: str, options: Mapping[str, str]) -> dict[str, Any]:
    """What DuckDB calls the options. They reach it as parameters, so no error quotes them."""
    virtual = options.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST") == "true"
    scheme, _, endpoint = options.get("AWS_ENDPOINT_URL", "").rpartition("://")
    endpoint = endpoint.rstrip("/")
    secret = {
        "KEY_ID": options.get("AWS_ACCESS_KEY_ID"),
        "SECRET": options.get("AWS_SECRET_ACCESS_KEY"),
        "SESSION_TOKEN": options.get("AWS_SESSION_TOKEN"),
        "REGION": options.get("AWS_REGION"),
        "ENDPOINT": endpoint.removeprefix(f"{bucket}.") if virtual else endpoint,
        "URL_STYLE": "vhost" if virtual else "path",
        "SCOPE": f"s3://{bucket}",
    }
    given: dict[str, Any] = {name: value for name, value in secret.items() if value}
    return given | {"USE_SSL": scheme != "http"}
