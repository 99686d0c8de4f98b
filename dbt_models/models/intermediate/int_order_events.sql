{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_orders", "key": ["source", "transaction_id"]}
) }}
{#- Events of one moment are put in one order, whatever files they came in; batch and line decide only between events
    that are equal in all that matters here. -#}
{%- set order_of_events -%}
    event_ts, visitor_id, source_item nulls last, product_id nulls last, quantity nulls last, unit_price nulls last,
    currency nulls last, batch_id, source_line
{%- endset -%}
{%- set columns = [
    "source", "transaction_id", "is_derived", "event_type", "event_ts", "event_date", "visitor_id", "session_id",
    "session_start", "product_id", "quantity", "unit_price", "revenue", "currency", "category", "brand", "source_item", "batch_id",
    "source_line",
] -%}
{%- set touched = ref("int_touched_orders") -%}
{%- set changes = ref("int_changes") -%}
-- Purchase and refund events, each with its transaction. A purchase has a line number if it is counted: one product of
-- the first event where an event holds the whole order (source_item), each different line otherwise. It has a
-- conflict if its transaction id was used by another visitor before, or long before.
with read_events as (
    select
        source,
        -- A source without transaction ids: the purchases of one session are one transaction.
        coalesce(transaction_id, session_id) as transaction_id,
        transaction_id is null as is_derived,
        event_type,
        event_ts,
        event_date,
        visitor_id,
        session_id,
        session_start,
        product_id,
        quantity,
        unit_price,
        {{ ecom_analytics.try_money("quantity * unit_price") }} as revenue,
        currency,
        category,
        brand,
        source_item,
        batch_id,
        source_line
        {{- ", change" if ecom_analytics.is_partial() }}
    from {{ changes if ecom_analytics.is_partial() else ref("stg_events") }}
    where event_type in ('purchase', 'refund') and (event_type = 'purchase' or transaction_id is not null)
),

order_events as (
    {%- if ecom_analytics.is_partial() %}
    -- What was read before of touched transactions, without what went, with what came.
    select {{ columns | join(", ") }}
    from (
        select {{ columns | join(", ") }}, 1 as change
        from {{ ecom_analytics.previous_state("int_order_events") }} as before
        where {{ ecom_analytics.is_touched("before", touched, ["source", "transaction_id"]) }}
        union all
        select {{ columns | join(", ") }}, change from read_events
    ) as counted
    group by {{ columns | join(", ") }}
    having sum(change) > 0
    {%- else %}
    select * from read_events
    {%- endif %}
),

placed as (
    select
        *,
        first_value(visitor_id) over by_time as first_visitor_id,
        first_value(event_ts) over by_time as first_event_ts,
        first_value(batch_id) over by_time as first_batch_id,
        first_value(source_line) over by_time as first_source_line,
        row_number() over (
            partition by
                source, transaction_id, event_type, visitor_id, source_item, product_id, quantity, unit_price
            order by {{ order_of_events }}
        ) as occurrence
    from order_events
    window by_time as (
        partition by source, transaction_id, event_type
        order by {{ order_of_events }}
        rows between unbounded preceding and unbounded following
    )
),

judged as (
    select
        *,
        event_type = 'purchase'
        and visitor_id = first_visitor_id
        and occurrence = 1
        and (source_item is null or event_ts = first_event_ts) as is_counted
    from placed
)

select
    *,
    case
        when is_counted
            then row_number() over (
                partition by source, transaction_id, is_counted order by {{ order_of_events }}
            )
    end as line_number,
    case
        when is_derived or event_type <> 'purchase' then null
        when visitor_id <> first_visitor_id then 'several_visitors'
        when
            {{ ecom_analytics.epoch_microseconds("event_ts") }}
            - {{ ecom_analytics.epoch_microseconds("first_event_ts") }}
            > {{ (var("conflict_window_minutes", 60) | float * 60000000) | int }}
            then 'far_apart'
    end as conflict
from judged
