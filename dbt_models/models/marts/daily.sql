{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_dates", "key": ["date"], "whole_with": ["sources"]}
) }}
{%- set touched = ref("int_touched_dates") -%}
{%- set partial = ecom_analytics.replaces_touched(["sources"]) -%}
{%- set dates = ecom_analytics.asked("select date from " ~ touched) if partial else none -%}
with ends as (
    select min(event_date) as first_date, max(event_date) as last_date
    from {{ ref("int_event_days") }}
),

-- Every day from the first to the last, also one without any event.
days as (
    select date
    from (
        select {{ ecom_analytics.each_day("first_date", "last_date") }} as date from ends where first_date is not null
    ) as every_day
    where {{ ecom_analytics.is_one_of("date", dates) }}
),

event_days as (
    select
        event_date as date,
        sum(events) as events,
        sum(case when event_type = 'view' then events else 0 end) as views,
        sum(case when event_type = 'add_to_cart' then events else 0 end) as add_to_carts
    from {{ ref("int_event_days") }}
    where {{ ecom_analytics.is_one_of("event_date", dates) }}
    group by event_date
),

-- A visitor is a bot or is none, and of one source: these add up.
visits as (
    select
        date,
        sum(visitors) as visitors,
        sum(sessions) as sessions,
        sum(converting_sessions) as converting_sessions,
        sum(purchasers) as purchasers
    from {{ ref("daily_by") }}
    where dimension = 'source' and {{ ecom_analytics.is_one_of("date", dates) }}
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
    days.date,
    {{ ecom_analytics.whole("coalesce(visits.visitors, 0)") }} as visitors,
    {{ ecom_analytics.whole("coalesce(visits.sessions, 0)") }} as sessions,
    {{ ecom_analytics.whole("coalesce(event_days.events, 0)") }} as events,
    {{ ecom_analytics.whole("coalesce(event_days.views, 0)") }} as views,
    {{ ecom_analytics.whole("coalesce(event_days.add_to_carts, 0)") }} as add_to_carts,
    {{ ecom_analytics.whole("coalesce(visits.purchasers, 0)") }} as purchasers,
    {{ ecom_analytics.whole("coalesce(visits.converting_sessions, 0)") }} as converting_sessions,
    coalesce(orders.transactions, 0) as transactions,
    {{ ecom_analytics.money(
        ecom_analytics.total("orders.quantity", "orders.transactions", "known.has_quantities")
    ) }} as quantity,
    {{ ecom_analytics.money(
        ecom_analytics.total("orders.net_value", "orders.transactions", "known.has_values")
    ) }} as net_value
from days
left join event_days on days.date = event_days.date
left join visits on days.date = visits.date
left join orders on days.date = orders.date
cross join known
