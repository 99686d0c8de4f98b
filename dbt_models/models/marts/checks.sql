select
    entry_id,
    place,
    run_id,
    build_id,
    checked_at,
    name,
    model,
    column_name,
    status,
    failures,
    message
from {{ ref("stg_checks") }}
