{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_days", "key": ["event_date"]}
) }}
{%- set touched = ref("int_touched_days") -%}
-- One row for each source, day and event type: how many events, and how many of them fill each optional column.
select
    source,
    event_date,
    event_type,
    count(*) as events,
    max(event_ts) as last_event_ts
    {%- for column in ecom_analytics.optional_columns() %},
    count({{ column }}) as {{ column }}
    {%- endfor %}
from {{ ref("stg_events") }}
where {{ ecom_analytics.is_one_of("event_date", ecom_analytics.asked("select event_date from " ~ touched)) }}
group by source, event_date, event_type
