def model(dbt, session):
    """A view of the staged batches: the name of each ingested file."""
    from ecom_analytics.marts.lake import batch_names, batches_query, staged

    dbt.config(materialized="lake_view")
    dbt.ref("stg_events")
    given = staged()
    if given is not None:
        return batches_query(given.batches)

    from ecom_analytics import Settings
    from ecom_analytics.staging import snapshot

    return batches_query(batch_names(snapshot(Settings()).batches))
