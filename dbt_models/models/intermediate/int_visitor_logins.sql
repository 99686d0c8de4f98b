{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_logins", "key": ["source", "visitor_id"]}
) }}
{%- set touched = ref("int_touched_logins") -%}
-- The last known login id of each visitor that ever logged in.
select
    source,
    visitor_id,
    max_by(user_id, {{ ecom_analytics.pack(["event_ts", "user_id"]) }}) as user_id
from {{ ref("stg_events") }} as events
where
    user_id is not null
    {%- if ecom_analytics.is_partial() %}
    and {{ ecom_analytics.is_touched("events", touched, ["source", "visitor_id"]) if ecom_analytics.asked("select 1 from " ~ touched ~ " limit 1") else "false" }}
    {%- endif %}
group by source, visitor_id
