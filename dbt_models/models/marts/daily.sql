{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_dates", "key": ["date"], "whole_with": ["sources"]}
) }}
{%- set touched = ref("int_touched_dates") -%}
{%- set partial = ecom_analytics.replaces_touched(["sources"]) -%}
{%- set dates = ecom_analytics.asked("select date from " ~ touched) if partial else none -%}
with event_days as (
    select
        event_date as date,
        sum(events) as events,
        sum(case when event_type = 'view' then events else 0 end) as views,
        sum(case when event_type = 'add_to_cart' then events else 0 end) as add_to_carts
    from {{ ref("int_event_days") }}
    where {{ ecom_analytics.is_one_of("event_date", dates) }}
    group by event_date
),

-- A visitor is active on the day a session starts, and on each later day that the session still has events on.
visitor_days as (
    select session_date as date, source, visitor_id
    from {{ ref("sessions") }}
    where {{ ecom_analytics.is_one_of("session_date", dates) }}
    union
    select event_date as date, source, visitor_id
    from {{ ref("stg_events") }}
    where session_start < {{ ecom_analytics.start_of_day("event_date") }} and {{ ecom_analytics.is_one_of("event_date", dates) }}
),

visitors as (
    select date, count(*) as visitors
    from visitor_days
    group by date
),

session_days as (
    select
        session_date as date,
        count(*) as sessions,
        count(case when transactions > 0 then 1 end) as converting_sessions
    from {{ ref("sessions") }}
    where {{ ecom_analytics.is_one_of("session_date", dates) }}
    group by session_date
),

purchasers as (
    select date, count(*) as purchasers
    from (
        select distinct transaction_date as date, source, visitor_id
        from {{ ref("transactions") }}
        where {{ ecom_analytics.is_one_of("transaction_date", dates) }}
    ) as purchaser_days
    group by date
),

orders as (
    select
        transaction_date as date,
        count(*) as transactions,
        sum(quantity) as quantity,
        sum(net_value) as net_value
    from {{ ref("transactions") }}
    where {{ ecom_analytics.is_one_of("transaction_date", dates) }}
    group by transaction_date
),

known as (
    select max(case when has_values then 1 else 0 end) = 1 as has_values,
        max(case when has_quantities then 1 else 0 end) = 1 as has_quantities
    from {{ ref("int_sources") }}
)

select
    event_days.date,
    visitors.visitors,
    coalesce(session_days.sessions, 0) as sessions,
    {{ ecom_analytics.whole("event_days.events") }} as events,
    {{ ecom_analytics.whole("event_days.views") }} as views,
    {{ ecom_analytics.whole("event_days.add_to_carts") }} as add_to_carts,
    coalesce(purchasers.purchasers, 0) as purchasers,
    coalesce(session_days.converting_sessions, 0) as converting_sessions,
    coalesce(orders.transactions, 0) as transactions,
    {{ ecom_analytics.money(
        ecom_analytics.total("orders.quantity", "orders.transactions", "known.has_quantities")
    ) }} as quantity,
    {{ ecom_analytics.money(
        ecom_analytics.total("orders.net_value", "orders.transactions", "known.has_values")
    ) }} as net_value
from event_days
left join visitors on event_days.date = visitors.date
left join session_days on event_days.date = session_days.date
left join purchasers on event_days.date = purchasers.date
left join orders on event_days.date = orders.date
cross join known
