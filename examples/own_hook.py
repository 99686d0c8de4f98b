"""A hook of your own: notices of runs as lines of a file.

Register it in the pyproject.toml of your package, and name it in ecom.toml::

    [project.entry-points."ecom_analytics.hooks"]
    journal = "own_hook:Journal"

    hooks = ["journal"]
"""

from pathlib import Path

from ecom_analytics.reports import Notice


class Journal:
    """Writes each notice as a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def from_settings(cls, settings):
        return cls(settings.home / "journal.txt")

    def __call__(self, notice: Notice) -> None:
        with self.path.open("a", encoding="utf-8") as journal:
            journal.write(f"{notice.at:%Y-%m-%d %H:%M} {notice.kind}: {notice.message}\n")


if __name__ == "__main__":
    from ecom_analytics import Pipeline, Settings
    from ecom_analytics.notify import send

    settings = Settings()
    report = Pipeline(settings).run()
    for notice in report.notices:
        Journal.from_settings(settings)(notice)
    send(settings, report.notices)  # those that the settings name
    print(f"{len(report.notices)} notices")
