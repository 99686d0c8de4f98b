"""Settings: keyword arguments over environment over ``ecom.toml`` over defaults."""

from __future__ import annotations

import difflib
import os
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ecom_analytics.errors import ConfigError
from ecom_analytics.rule_settings import RuleSettings, rules_of
from ecom_analytics.threshold_settings import ThresholdSettings

ENVIRONMENT_PREFIX = "ECOM_ANALYTICS_"
CONFIG_FILE = "ecom.toml"


class Settings(BaseSettings):
    """Everything that can be set, validated and frozen.

    A value is looked up in this order: keyword argument, environment variable ``ECOM_ANALYTICS_<NAME>``, the file
    ``ecom.toml`` in the working directory, default. Relative paths are made absolute when the object is made.

    Raises
    ------
    ConfigError
        A key is unknown or a value is bad; the message names the key, the value and what is allowed.

    Examples
    --------
    >>> settings = Settings(home="/data/shop", timezone="Europe/Berlin")
    >>> settings.lake, str(settings.warehouse)
    ('/data/shop/lake', '/data/shop/warehouse')
    """

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, toml_file=CONFIG_FILE, extra="forbid", frozen=True, env_ignore_empty=True
    )

    home: Path = Field(Path("ecom-data"), description="Folder that holds lake, warehouse and exports by default.")
    lake: str = Field("", description="Folder or s3:// URI of the data lake. Default: lake in home.")
    warehouse: Path = Field(Path(), description="Folder of the published warehouse. Default: warehouse in home.")
    cache: Path = Field(Path(), description="Folder of local copies of what lies on S3. Default: cache in home.")
    cache_limit: str = Field("20GB", description="Size of the cache; the least recently used copies go first.")
    exports: str = Field("", description="Folder or s3:// URI that exports go to. Default: exports in home.")
    erasure_key: Path = Field(
        Path(),
        description="File of the key that erased visitors are told by, outside the lake. Default: erasure.key in home.",
    )

    source: str = Field("default", description="Name of the place that events come from; part of every identity.")
    source_format: str = Field("auto", description="How files look: the name of a source format, or auto to detect it.")
    mapping: Path | None = Field(
        None, description="TOML file that says what the columns of the files mean; see the source format mapping."
    )
    encoding: str = Field(
        "auto", description="Encoding of delimited and JSON files, such as latin-1; auto: UTF-8, or UTF-16 if it shows."
    )
    delimiter: str = Field(
        "auto", description="One ASCII character between fields, or tab; auto: the first records decide."
    )
    header: Literal["auto", "yes", "no"] = Field(
        "auto", description="Whether the first line of a delimited file names the columns; auto: the format decides."
    )
    timezone: str = Field("UTC", description="IANA time zone of the store; days are days of this zone.")
    session_timeout_minutes: float = Field(
        30, gt=0, le=10_080, description="A longer gap than this between two events of a visitor starts a session."
    )
    conflict_window_minutes: float = Field(
        60, gt=0, description="Purchases with one transaction id further apart than this are reported as a conflict."
    )
    bot_events_per_minute: int = Field(
        60,
        ge=0,
        description="A visitor with more events than this in any 60 seconds is flagged as a bot. 0: no such rule.",
    )
    bot_events_per_day: int = Field(
        2_000,
        ge=0,
        description="A visitor with more events than this on a day of the store is flagged as a bot. 0: no such rule.",
    )
    bot_hours_without_pause: float = Field(
        12,
        ge=0,
        le=8_760,
        description="A visitor that goes on for so long without a pause is flagged. 0: no such rule.",
    )
    bot_pause_seconds: float = Field(
        300, gt=0, le=86_400, description="A longer gap than this between two events of a visitor is a pause."
    )
    cart_idle_days: float = Field(
        7, gt=0, le=366, description="A cart without an add or a removal for longer than this is abandoned."
    )
    attribution_days: float = Field(
        30, gt=0, le=3_660, description="A visit is credited with transactions up to so many days after it began."
    )
    affinity_min_together: int = Field(
        2, ge=1, description="Two products are a pair of `affinity` if so many transactions hold both."
    )
    affinity_max_products: int = Field(
        200,
        ge=2,
        description="A transaction with more products makes no pairs, which would be its square; a test warns of it.",
    )
    max_record_lines: int = Field(100, ge=1, le=100_000, description="Lines that one quoted CSV field may span.")

    rules: tuple[RuleSettings, ...] = Field(
        (), description="Rules of your own, and other severities for built-in ones; see the reference of rules."
    )
    max_rejected: str | None = Field(
        None,
        description="Most records of new files that a stage may reject: a share such as 1% or 0.01, or a count; "
        "with more it fails and commits nothing. Default: no limit.",
    )

    models: Path | None = Field(
        None, description="Folder of your own dbt models, built, tested and published beside ours."
    )
    export_formats: tuple[str, ...] = Field(("parquet",), description="Formats that marts are exported in.")
    export_partitions: Literal["month", "day", "none"] = Field(
        "month",
        description="A mart with a date is exported as files of so much of it, of which only changed ones are new.",
    )
    export_partition_rows: int = Field(
        100_000, ge=0, description="A mart with no more rows than this is exported as one file, date or not."
    )
    keep_exports: int = Field(3, ge=1, description="Whole exports that are kept at a destination.")
    keep_exports_days: float | None = Field(
        None, gt=0, description="An export that another one took the place of so long ago goes. Default: no limit."
    )
    export_grace_minutes: float = Field(
        60,
        ge=0,
        description="No export goes before another one took its place so long ago: somebody may be reading it.",
    )
    csv_bom: bool = Field(
        False, description="Begin CSV files with a byte order mark, so that Excel takes them for UTF-8."
    )
    csv_escape_formulas: bool = Field(
        False, description="Put ' before text in CSV files that a spreadsheet would take for a formula."
    )
    csv_null: str = Field("", description="What stands for NULL in CSV files, without quotes. Empty text is quoted.")
    prepare_answers_from: int = Field(
        50_000,
        ge=0,
        description="Sessions from which on what the dashboard shows for each of its periods is computed when a build "
        "is published, so that nobody waits for it. 0: always.",
    )
    keep_builds: int = Field(3, ge=1, description="Published builds that are kept for rollback.")
    keep_builds_days: float | None = Field(
        None, gt=0, description="A build that was published so long ago goes, unless it is served. Default: no limit."
    )
    keep_builds_size: str | None = Field(
        None, description="Size of all kept builds together, such as 20GB; the oldest ones go first. Default: no limit."
    )
    maintenance_hours: float = Field(
        24, ge=0, description="After a run, housekeeping is done if it was not done for so long. 0: never by itself."
    )
    retention_hours: int = Field(
        24, ge=0, description="Files that were replaced stay for so long, for whoever may be reading them."
    )
    hooks: tuple[str, ...] = Field((), description="Plug-ins that are told of failed runs and of what is below.")
    webhook_url: SecretStr | None = Field(
        None, description="Address that they are posted to as well, as JSON; Slack and others take it. A secret."
    )
    stale_hours: float | None = Field(
        None, gt=0, description="Tell after a run if the newest event is older than this. Default: never."
    )
    thresholds: tuple[ThresholdSettings, ...] = Field(
        (), description="Metrics of the last whole days that are told of if they are too low or too high."
    )
    memory_limit: str = Field("1500MB", description="Memory that DuckDB may use, such as 1500MB or 4GB.")
    threads: int = Field(
        default_factory=lambda: (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        ),
        ge=1,
        description="Threads that DuckDB may use. Default: all cores of the process.",
    )

    host: str = Field("127.0.0.1", description="Address that the dashboard is served on.")
    port: int = Field(8080, ge=0, le=65_535, description="Port that the dashboard is served on; 0 picks a free one.")
    dashboard_memory_limit: str = Field(
        "400MB", description="Memory that DuckDB may use to answer the dashboard, such as 400MB or 4GB."
    )
    dashboard_token: SecretStr | None = Field(
        None, description="What who asks the dashboard must give, as a bearer token or as the password of any user."
    )
    embed_secret: SecretStr | None = Field(
        None, description="A long random text that links to a part of the dashboard are signed with."
    )
    frame_ancestors: tuple[str, ...] = Field(
        (), description="Origins that may show the dashboard in a frame, such as https://shop.example."
    )
    trusted_hosts: tuple[str, ...] = Field(
        (), description="Host names that the dashboard answers to, such as .shop.example. Default: all."
    )
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="Reverse proxies before the dashboard, whose X-Forwarded headers are believed."
    )
    rate_limit: str | None = Field(
        None, description="Most requests of one address, such as 120/minute; it needs the extra ratelimit."
    )

    s3_endpoint_url: str | None = Field(None, description="Endpoint of an S3-compatible store, such as MinIO.")
    s3_region: str | None = Field(None, description="S3 region; by default what boto3 finds.")
    s3_addressing_style: Literal["auto", "path", "virtual"] = Field("auto", description="How buckets are addressed.")
    s3_server_side_encryption: Literal["AES256", "aws:kms"] | None = Field(None, description="Encryption asked of S3.")
    s3_checksums: Literal["crc32", "md5"] = Field(
        "crc32", description="Checksum sent with all bytes; md5 for a store that does not know the other."
    )
    s3_kms_key_id: str | None = Field(None, description="KMS key for aws:kms encryption.")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _config_error(error) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(init_settings, InitSettingsSource)
        assert isinstance(env_settings, EnvSettingsSource)
        _refuse_unknown_environment()
        try:
            toml = TomlConfigSettingsSource(settings_cls)
        except ValueError as error:
            raise ConfigError(
                f"{CONFIG_FILE} is not valid TOML: {error}", hint="correct the line that the message names"
            ) from error
        return init_settings, env_settings, toml

    @model_validator(mode="before")
    @classmethod
    def _derive_from_home(cls, values: dict[str, Any]) -> dict[str, Any]:
        values = dict(values)
        home = Path(values.get("home") or "ecom-data").expanduser().absolute()
        values["home"] = home
        for key in ("lake", "warehouse", "cache", "exports"):
            values[key] = values.get(key) or home / key
        for key in ("lake", "exports"):
            place = str(values[key])
            values[key] = place.rstrip("/") if "://" in place else str(Path(place).expanduser().absolute())
        values["erasure_key"] = values.get("erasure_key") or home / "erasure.key"
        for key in ("warehouse", "cache", "erasure_key"):
            if "://" not in str(values[key]):  # else it is refused, as it was written
                values[key] = Path(values[key]).expanduser().absolute()
        return values

    @field_validator("lake", "exports")
    @classmethod
    def _folder_or_s3(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if separator and (scheme != "s3" or not rest):
            raise ValueError("a folder, or s3://bucket/prefix")
        return value

    @field_validator("warehouse", "cache", mode="before")
    @classmethod
    def _local_folder(cls, value: Path) -> Path:
        if "://" in str(value):
            raise ValueError("a local folder: what is in it cannot be used on S3 (marts can be exported there)")
        return value

    @field_validator("erasure_key", mode="before")
    @classmethod
    def _local_file(cls, value: Path) -> Path:
        if "://" in str(value):
            raise ValueError("a local file: who has the lake must not have the key")
        return value

    @field_validator("mapping", "models")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value and value.expanduser().absolute()

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode("utf-8" if value == "auto" else value)
        except LookupError:
            raise ValueError("auto, or a text encoding such as utf-8, utf-16, latin-1 or cp1252") from None
        return value

    @field_validator("delimiter", mode="before")
    @classmethod
    def _one_character(cls, value: str) -> str:
        value = {"tab": "\t", "\\t": "\t"}.get(value, value)
        if value != "auto" and (len(value) != 1 or not value.isascii() or value in '"\r\n\0'):
            raise ValueError("auto, tab, or one ASCII character other than a quote or line end")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("an IANA time zone such as UTC or Europe/Berlin")
        return value

    @field_validator("source")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
            raise ValueError("1 to 64 letters, digits, '_', '-' or '.', beginning with a letter or digit")
        return value

    @field_validator("rules", mode="before")
    @classmethod
    def _own_rules(cls, value: Any) -> tuple[RuleSettings, ...]:
        return rules_of(value)

    @field_validator("max_rejected", mode="before")
    @classmethod
    def _share_or_count(cls, value: Any) -> str | None:
        text = "" if isinstance(value, bool) else str(value).strip()
        if isinstance(value, float):
            text = format(Decimal(text), "f")
        if value is None or re.fullmatch(r"[0-9]+|(0(\.[0-9]+)?|1(\.0+)?|[0-9]{1,2}(\.[0-9]+)?%|100(\.0+)?%)", text):
            return None if value is None else text
        raise ValueError("a share such as 1% or 0.01, or a count such as 100")

    @field_validator("csv_null")
    @classmethod
    def _plain_text(cls, value: str) -> str:
        if any(character in value for character in ',"\r\n') or len(value) > 20:
            raise ValueError("up to 20 characters, without comma, quote and line end")
        return value

    @field_validator("memory_limit", "dashboard_memory_limit", "cache_limit", "keep_builds_size")
    @classmethod
    def _size(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[1-9]\d*(\.\d+)?\s*[KMGT]i?B", value, re.IGNORECASE):
            raise ValueError("a number with a unit, such as 1500MB or 4GB")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The store's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def cache_bytes(self) -> int:
        """The size of the cache in bytes.

        Examples
        --------
        >>> Settings(cache_limit="1.5 GiB").cache_bytes
        1610612736
        """
        return _bytes(self.cache_limit)

    @property
    def memory_bytes(self) -> int:
        """The memory that DuckDB may use in bytes.

        Examples
        --------
        >>> Settings(memory_limit="4GB").memory_bytes
        4000000000
        """
        return _bytes(self.memory_limit)

    @property
    def keep_builds_bytes(self) -> int:
        """The size of all kept builds together in bytes.

        Examples
        --------
        >>> Settings(keep_builds_size="20GB").keep_builds_bytes
        20000000000
        """
        return sys.maxsize if self.keep_builds_size is None else _bytes(self.keep_builds_size)

    def rejected_limit(self, records: int) -> int | None:
        """How many of so many new records a stage may reject; None if there is no limit.

        Examples
        --------
        >>> Settings(max_rejected="1%").rejected_limit(1_000), Settings(max_rejected=5).rejected_limit(1_000)
        (10, 5)
        """
        if self.max_rejected is None:
            return None
        if self.max_rejected.isdigit():
            return int(self.max_rejected)
        share = Decimal(self.max_rejected.rstrip("%"))
        return int(share * records / (100 if self.max_rejected.endswith("%") else 1))

    def environment(self) -> dict[str, str]:
        """The settings as environment variables, for a child process to make the same object of; without secrets.

        Examples
        --------
        >>> Settings(home="/data/shop").environment()["ECOM_ANALYTICS_LAKE"]
        '/data/shop/lake'
        """
        import json

        values = self.model_dump(mode="json", exclude_none=True, exclude={"webhook_url"})
        return {
            ENVIRONMENT_PREFIX + key.upper(): value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
        }


def _bytes(size: str) -> int:
    digits = size.rstrip("BKMGTi bkmgtI")
    unit = size[len(digits) :].strip().upper()
    return int(float(digits) * (1024 if "I" in unit else 1000) ** ("KMGT".index(unit[0]) + 1))


def _refuse_unknown_environment() -> None:
    known = {ENVIRONMENT_PREFIX + name.upper() for name in Settings.model_fields}
    for variable in sorted(os.environ):
        if variable.upper().startswith(ENVIRONMENT_PREFIX) and variable.upper() not in known:
            key = variable[len(ENVIRONMENT_PREFIX) :].lower()
            raise _unknown_key(key, f"environment variable {variable}")


def _unknown_key(key: str, where: str) -> ConfigError:
    allowed = sorted(Settings.model_fields)
    close = difflib.get_close_matches(key, allowed, n=1)
    hint = (f"did you mean {close[0]!r}? " if close else "") + f"the settings are: {', '.join(allowed)}"
    return ConfigError(f"unknown setting {key!r} ({where})", hint=hint, key=key)


def _config_error(error: ValidationError) -> ConfigError:
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"]) or "settings"
    if problem["type"] == "extra_forbidden":
        return _unknown_key(key, f"value {problem['input']!r}")
    message = problem["msg"].removeprefix("Value error, ")
    field = Settings.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    return ConfigError(
        f"setting {key!r} has the bad value {problem['input']!r}; allowed: {message}",
        hint=(field.description or "") if field else "",
        key=key,
        value=problem["input"],
        allowed=message,
    )
