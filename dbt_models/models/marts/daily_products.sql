{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_dates", "key": ["date"], "whole_with": ["sources"]}
) }}
{%- set touched = ref("int_touched_dates") -%}
{%- set partial = ecom_analytics.replaces_touched(["sources"]) -%}
{%- set dates = ecom_analytics.asked("select date from " ~ touched) if partial else none -%}
with moves as (
    select
        event_date as date,
        source,
        product_id,
        count(*) as events,
        count(case when event_type = 'view' then 1 end) as views,
        count(case when event_type = 'add_to_cart' then 1 end) as add_to_carts,
        count(case when event_type = 'purchase' then 1 end) as purchases
    from {{ ref("stg_events") }}
    where product_id is not null and {{ ecom_analytics.is_one_of("event_date", dates) }}
    group by event_date, source, product_id
),

sold as (
    select
        event_date as date,
        source,
        product_id,
        count(*) as lines,
        sum(quantity) as quantity,
        sum(revenue) as revenue
    from {{ ref("transaction_lines") }}
    where product_id is not null and {{ ecom_analytics.is_one_of("event_date", dates) }}
    group by event_date, source, product_id
)

-- A line is a purchase event of its day, so that no product is sold on a day on which it has no events.
select
    moves.date,
    moves.source,
    moves.product_id,
    moves.events,
    moves.views,
    moves.add_to_carts,
    moves.purchases,
    coalesce(sold.lines, 0) as lines,
    {{ ecom_analytics.money(
        ecom_analytics.total("sold.quantity", "sold.lines", "sources.has_quantities")
    ) }} as quantity,
    {{ ecom_analytics.money(
        ecom_analytics.total("sold.revenue", "sold.lines", "sources.has_values")
    ) }} as revenue
from moves
left join sold on moves.date = sold.date and moves.source = sold.source and moves.product_id = sold.product_id
left join {{ ref("int_sources") }} as sources on moves.source = sources.source
