def model(dbt, session):
    """A view over the staged rows about products."""
    from ecom_analytics.marts.lake import catalogue_query, staged

    dbt.config(materialized="lake_view")
    dbt.ref("stg_events")
    given = staged()
    if given is not None:
        return catalogue_query("products", given.catalogue)

    from ecom_analytics import Settings
    from ecom_analytics.staging import snapshot

    return catalogue_query("products", snapshot(Settings()).catalogue)
