{%- set touched = ref("int_touched_users") -%}
-- All sessions of users to replace.
select
    source,
    user_id,
    visitor_id,
    session_start,
    session_end,
    session_date,
    session_end_date,
    views,
    add_to_carts,
    is_bot
from {{ ref("sessions") }} as sessions
where {{ ecom_analytics.is_touched("sessions", touched, ["source", "user_id"]) if ecom_analytics.is_partial() else "false" }}
