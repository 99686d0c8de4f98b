def model(dbt, session):
    """A view over the history of runs, stages and models."""
    from ecom_analytics.marts.lake import history_files, history_query, staged

    dbt.config(materialized="lake_view")
    given = staged()
    return history_query("runs", history_files() if given is None else given.history)
