{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_paths", "key": ["source", "transaction_id"]}
) }}
{%- set touched = ref("int_touched_paths") -%}
{%- set order = ["source", "transaction_id"] -%}
{%- set visitor = ["source", "visitor_id"] -%}
{%- set window = (var("attribution_days", 30) | float * 86400000000) | round | int -%}
with orders as (
    select transactions.*
    from {{ ref("transactions") }} as transactions
    inner join ({{ ecom_analytics.sources_with_visits(ref("int_event_days")) }}) as sources
        on transactions.source = sources.source
    where
        -- Where no event says so, it cannot be told that a visit was direct.
        sources.has_visits
        {{ "and " ~ ecom_analytics.is_touched("transactions", touched, order) if ecom_analytics.is_partial() }}
),

visits as (
    select
        sessions.source,
        sessions.visitor_id,
        sessions.session_id,
        sessions.session_start,
        sessions.traffic_source,
        sessions.medium,
        sessions.campaign,
        {{ ecom_analytics.is_direct("sessions") }} as is_direct
    from {{ ref("sessions") }} as sessions
    where {{ ecom_analytics.is_touched("sessions", "orders", visitor) }}
),

touches as (
    select
        orders.source,
        orders.transaction_id,
        visits.session_id,
        visits.session_start as touch_ts,
        visits.traffic_source,
        visits.medium,
        visits.campaign,
        visits.is_direct,
        row_number() over (
            partition by orders.source, orders.transaction_id order by visits.session_start
        ) as touch_number,
        count(*) over (partition by orders.source, orders.transaction_id) as touches
    from orders
    inner join visits
        on
            orders.source = visits.source
            and orders.visitor_id = visits.visitor_id
            and visits.session_start <= orders.transaction_ts
            and {{ ecom_analytics.epoch_microseconds("orders.transaction_ts") }}
            - {{ ecom_analytics.epoch_microseconds("visits.session_start") }} <= {{ window }}
),

paths as (
    select
        *,
        max(case when not is_direct then touch_number end) over (
            partition by source, transaction_id
        ) as last_non_direct
    from touches
),

weighed as (
    {%- for model, parts in ecom_analytics.attribution_models().items() %}
    select *, '{{ model }}' as model, {{ ecom_analytics.whole(parts) }} as parts from paths
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

summed as (
    select
        *,
        sum(parts) over (
            partition by source, transaction_id, model
            order by touch_number
            rows between unbounded preceding and current row
        ) as parts_so_far,
        sum(parts) over (partition by source, transaction_id, model) as all_parts
    from weighed
),

credited as (
    select
        summed.*,
        orders.transaction_ts,
        orders.transaction_date,
        orders.user_id,
        orders.visitor_id,
        orders.currency,
        {{ ecom_analytics.whole("orders.net_value * 10000") }} as net_units
    from summed
    inner join orders on summed.source = orders.source and summed.transaction_id = orders.transaction_id
    where summed.parts > 0
)

select
    source,
    transaction_id,
    model,
    {{ ecom_analytics.whole("touch_number") }} as touch_number,
    {{ ecom_analytics.whole("touches") }} as touches,
    transaction_ts,
    transaction_date,
    user_id,
    visitor_id,
    session_id,
    touch_ts,
    traffic_source,
    medium,
    campaign,
    case
        when is_direct then 'direct'
        else {{ dbt.concat(["coalesce(traffic_source, '(not set)')", "' / '", "coalesce(medium, '(not set)')"]) }}
    end as channel,
    cast(({{ ecom_analytics.share("100000000") }}) / 100000000 as decimal(18, 8)) as credit,
    {{ ecom_analytics.money("cast((" ~ ecom_analytics.share("net_units") ~ ") as decimal(23, 0)) / 10000") }} as net_value,
    currency
from credited
