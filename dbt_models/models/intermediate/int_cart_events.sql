{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_days", "key": ["event_date"]}
) }}
{%- set touched = ref("int_touched_days") -%}
-- What was put into carts and taken out of them; equal things of one moment are one.
select
    source,
    visitor_id,
    session_id,
    event_date,
    event_ts,
    event_type,
    product_id,
    {{ ecom_analytics.money("sum(coalesce(quantity, 1))") }} as quantity,
    max(unit_price) as unit_price,
    max(currency) as currency,
    count(*) as events
from {{ ref("stg_events") }}
where
    event_type in ('add_to_cart', 'remove_from_cart')
    and {{ ecom_analytics.is_one_of("event_date", ecom_analytics.asked("select event_date from " ~ touched)) }}
group by source, visitor_id, session_id, event_date, event_ts, event_type, product_id
