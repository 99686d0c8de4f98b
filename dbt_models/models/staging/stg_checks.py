def model(dbt, session):
    """A view over the history of test results."""
    from ecom_analytics.marts.lake import history_files, history_query, staged

    dbt.config(materialized="lake_view")
    given = staged()
    return history_query("checks", history_files() if given is None else given.history)
