{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_users", "key": ["source", "user_id"], "whole_with": ["sources"]}
) }}
{%- set touched_visits = ref("int_touched_visits") -%}
{%- set partial = ecom_analytics.replaces_touched(["sources"]) -%}
-- depends_on: {{ ref("int_touched_users") }}
with visits as (
    select
        source,
        user_id,
        min(session_start) as first_seen,
        max(session_end) as last_seen,
        min(session_date) as first_date,
        max(session_date) as last_date,
        count(*) as sessions,
        sum(views) as views,
        sum(add_to_carts) as add_to_carts
    from {{ touched_visits if partial else ref("sessions") }}
    group by source, user_id
),

orders as (
    select
        source,
        user_id,
        count(*) as transactions,
        sum(quantity) as quantity,
        sum(net_value) as net_value
    from {{ ref("transactions") }}
    group by source, user_id
),

-- A user is a bot if one of its visitors is.
bots as (
    select
        source,
        user_id,
        concat_ws(
            ', '
            {%- for rule in ecom_analytics.bot_rules() %},
            max(case when concat(', ', rules, ',') like '%, {{ rule }},%' then '{{ rule }}' end)
            {%- endfor %}
        ) as rules
    from {{ ref("bots") }}
    group by source, user_id
)

select
    visits.source,
    visits.user_id,
    visits.first_seen,
    visits.last_seen,
    visits.first_date,
    visits.last_date,
    visits.sessions,
    {{ ecom_analytics.whole("visits.views") }} as views,
    {{ ecom_analytics.whole("visits.add_to_carts") }} as add_to_carts,
    coalesce(orders.transactions, 0) as transactions,
    {{ ecom_analytics.money(
        ecom_analytics.total("orders.quantity", "orders.transactions", "sources.has_quantities")
    ) }} as quantity,
    {{ ecom_analytics.money(
        ecom_analytics.total("orders.net_value", "orders.transactions", "sources.has_values")
    ) }} as net_value,
    bots.user_id is not null as is_bot,
    bots.rules as bot_rules
from visits
left join orders on visits.source = orders.source and visits.user_id = orders.user_id
left join bots on visits.source = bots.source and visits.user_id = bots.user_id
left join {{ ref("int_sources") }} as sources on visits.source = sources.source
