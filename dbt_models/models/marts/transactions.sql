{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_transactions", "key": ["source", "transaction_id"]}
) }}
{%- set touched = ref("int_touched_transactions") -%}
with order_events as (
    select *
    from {{ ref("int_order_events") }} as events
    {%- if ecom_analytics.is_partial() %}
    where {{ ecom_analytics.is_touched("events", touched, ["source", "transaction_id"]) }}
    {%- endif %}
),

lines as (
    select
        source,
        transaction_id,
        count(*) as lines,
        sum(quantity) as quantity,
        sum(revenue) as gross_value,
        min(currency) as first_currency,
        max(currency) as last_currency
    from order_events
    where line_number is not null
    group by source, transaction_id
),

refunds as (
    select
        source,
        transaction_id,
        sum(revenue) as refunds,
        min(currency) as first_currency,
        max(currency) as last_currency
    from order_events
    where event_type = 'refund'
    group by source, transaction_id
),

valued as (
    select
        first_event.source,
        first_event.transaction_id,
        first_event.event_ts as transaction_ts,
        first_event.event_date as transaction_date,
        coalesce(logins.user_id, first_event.visitor_id) as user_id,
        first_event.visitor_id,
        first_event.session_id,
        lines.lines,
        lines.quantity,
        lines.gross_value,
        -- Without any refund it is 0 where the value is known.
        coalesce(refunds.refunds, case when lines.gross_value is not null then 0 end) as refunds,
        coalesce(lines.first_currency, refunds.first_currency) as currency,
        -- Amounts in different currencies are never added up.
        coalesce(lines.first_currency <> lines.last_currency, false)
        or coalesce(refunds.first_currency <> refunds.last_currency, false)
        or coalesce(lines.first_currency <> refunds.first_currency, false) as has_several_currencies
    from order_events as first_event
    inner join lines
        on first_event.source = lines.source and first_event.transaction_id = lines.transaction_id
    left join refunds
        on first_event.source = refunds.source and first_event.transaction_id = refunds.transaction_id
    left join {{ ref("int_visitor_logins") }} as logins
        on first_event.source = logins.source and first_event.visitor_id = logins.visitor_id
    where first_event.line_number = 1
)

select
    source,
    transaction_id,
    transaction_ts,
    transaction_date,
    user_id,
    visitor_id,
    session_id,
    {{ ecom_analytics.whole("lines") }} as lines,
    {{ ecom_analytics.money("quantity") }} as quantity,
    {{ ecom_analytics.money("case when not has_several_currencies then gross_value end") }} as gross_value,
    {{ ecom_analytics.money("case when not has_several_currencies then refunds end") }} as refunds,
    {{ ecom_analytics.money("case when not has_several_currencies then gross_value - refunds end") }} as net_value,
    case when not has_several_currencies then currency end as currency,
    {{ ecom_analytics.whole(
        "row_number() over (partition by source, user_id order by transaction_ts, transaction_id)"
    ) }} as customer_sequence
from valued
