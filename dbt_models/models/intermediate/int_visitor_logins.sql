-- The last known login id of each visitor that ever logged in.
select
    source,
    visitor_id,
    max_by(user_id, {{ ecom_analytics.pack(["event_ts", "user_id"]) }}) as user_id
from {{ ref("stg_events") }}
where user_id is not null
group by source, visitor_id
