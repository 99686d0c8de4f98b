"""Every error that the library raises on purpose.

::

    EcomError                    message (what happened) and hint (what to do)
     ├─ ConfigError              a setting is unknown or has a bad value
     ├─ InputError               the input cannot be used
     │   ├─ MissingFileError     no such file, or a folder without event files
     │   ├─ EmptyFileError       a file without a record
     │   ├─ TruncatedError       compressed data that is cut short or damaged
     │   ├─ NotLinesError        JSON that is not one object a line
     │   └─ UnknownFormatError   no source format recognises the file, or several do
     ├─ LakeError                the lake is damaged or cannot be read or written
     ├─ StagingError             staging broke one of its own promises
     │   ├─ AccountingError      records in ≠ staged + duplicates + rejected + blank
     │   ├─ SchemaError          the staged result does not keep the schema
     │   ├─ RestageError         settings changed that the staged tables were made with
     │   └─ TooManyRejectedError more records were rejected than max_rejected allows
     ├─ BuildError               the marts could not be built
     │   ├─ MartError            a model failed, or dbt did
     │   └─ TestsFailedError     they were built, but a test failed: nothing is published
     ├─ NotBuiltError            there is no published warehouse yet
     ├─ ExportError              the export could not be written
     ├─ BusyError                another run holds the warehouse, or a racing writer won
     ├─ StorageFullError         no space left on the device
     └─ PluginError              a plug-in is unknown or cannot be loaded
"""

from __future__ import annotations

from typing import Any


class EcomError(Exception):
    """Root of all errors of the library.

    Parameters
    ----------
    message : str
        What happened, with the values that matter. One sentence.
    hint : str, optional
        What the reader can do about it. One sentence.
    **facts
        The same facts as data, kept in :attr:`facts`.

    Examples
    --------
    >>> error = EcomError("no file 'a.csv'", hint="check the path", path="a.csv")
    >>> str(error), error.hint, error.facts["path"]
    ("no file 'a.csv'", 'check the path', 'a.csv')
    """

    exit_code = 1
    """With which a command ends."""

    def __init__(self, message: str, *, hint: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts


class ConfigError(EcomError):
    """A setting is unknown or has a bad value."""


class InputError(EcomError):
    """The input cannot be used."""


class MissingFileError(InputError):
    """No such file, or a folder without event files."""


class EmptyFileError(InputError):
    """A file without a single record."""


class TruncatedError(InputError):
    """Compressed data that is cut short or damaged; all that comes before the damage was read."""


class NotLinesError(InputError):
    """A file of JSON that is not one object a line."""


class UnknownFormatError(InputError):
    """No source format recognises the file, or several do equally well."""


class LakeError(EcomError):
    """The lake is damaged or cannot be read or written."""


class StagingError(EcomError):
    """Staging broke one of its own promises; nothing was committed."""


class AccountingError(StagingError):
    """Records in are not staged + duplicates + rejected + blank."""


class SchemaError(StagingError):
    """The staged result does not keep the canonical schema."""


class RestageError(StagingError):
    """A setting changed that the staged tables were made with."""


class TooManyRejectedError(StagingError):
    """More records of new files were rejected than the setting ``max_rejected`` allows; nothing was committed."""

    exit_code = 3


class BuildError(EcomError):
    """The marts could not be built; the served build is untouched."""


class MartError(BuildError):
    """A model failed, or dbt did; ``facts`` tell the models and where their compiled SQL is kept."""


class TestsFailedError(BuildError):
    """The marts were built but a test failed; the served build is untouched."""

    exit_code = 3
    __test__ = False  # not a test class, whatever pytest makes of its name


class NotBuiltError(EcomError):
    """There is no published warehouse yet."""


class ExportError(EcomError):
    """The export could not be written."""


class BusyError(EcomError):
    """Another run holds the warehouse, or a racing writer won."""

    exit_code = 4


class StorageFullError(EcomError):
    """No space is left on the device; nothing half-written was kept."""


class PluginError(EcomError):
    """A plug-in is unknown or cannot be loaded."""
