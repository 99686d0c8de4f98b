def model(dbt, session):
    """A view of the staged events that went (-1) and came (1) since the build that this one starts from."""
    from ecom_analytics.marts.lake import changes_query, staged

    dbt.config(materialized="lake_view")
    dbt.ref("stg_events")
    given = staged()
    return changes_query(given.removed if given else [], given.added if given else [])
