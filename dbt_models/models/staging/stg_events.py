def model(dbt, session):
    """A view over the staged events. Stages what is new first, unless the caller gave the files."""
    from ecom_analytics.marts.lake import events_query, staged

    dbt.config(materialized="lake_view")
    given = staged()
    if given is not None:
        return events_query(given.files)

    from ecom_analytics import Settings, Stager
    from ecom_analytics.staging import snapshot

    settings = Settings()
    Stager(settings).stage()
    return events_query(snapshot(settings).files)
