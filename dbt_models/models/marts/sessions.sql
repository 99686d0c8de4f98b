{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_sessions", "key": ["source", "session_id"], "date": "session_date", "whole_with": ["sources"]}
) }}
{%- set touched = ref("int_touched_sessions") -%}
{%- set partial = ecom_analytics.replaces_touched(["sources"]) -%}
{%- set days -%}
    select distinct {{ ecom_analytics.each_day("session_date", "last_day") }} as day
    from (select distinct session_date, last_day from {{ touched }} where is_counted_anew) as spans
{%- endset -%}
{%- set kept_dates -%}
    select distinct session_date from {{ touched }} where not is_counted_anew
{%- endset -%}
{%- set on_those_days = ecom_analytics.is_one_of("event_date", ecom_analytics.asked(days) if partial else none) -%}
{%- set key = ["source", "session_id"] -%}
{%- set own = [
    "source", "visitor_id", "session_start", "session_end", "session_date", "session_end_date", "events", "views",
    "add_to_carts", "checkouts", "purchases",
] -%}
{%- set touch = ["traffic_source", "medium", "campaign"] -%}
with grouped as (
    select
        source,
        visitor_id,
        session_start,
        max(event_ts) as session_end,
        -- The day of an event never falls as its time rises, so this is the day of the session's start.
        min(event_date) as session_date,
        max(event_date) as session_end_date,
        count(*) as events,
        count(case when event_type = 'view' then 1 end) as views,
        count(case when event_type = 'add_to_cart' then 1 end) as add_to_carts,
        count(case when event_type = 'checkout' then 1 end) as checkouts,
        count(case when event_type = 'purchase' then 1 end) as purchases
    from {{ ref("stg_events") }}
    where {{ on_those_days }}
    group by source, visitor_id, session_start
),

-- Where a session came from and on what device: the first event that says so. Traffic source, medium and campaign
-- are taken from one and the same event. Free of cost for sources that fill none of these columns.
attributes as (
    select
        source,
        visitor_id,
        session_start,
        min_by({{ ecom_analytics.pack(touch) }}, {{ ecom_analytics.pack(["event_ts"] + touch) }})
            filter (where traffic_source is not null or medium is not null or campaign is not null) as touch,
        min_by(device, {{ ecom_analytics.pack(["event_ts", "device"]) }}) filter (where device is not null) as device,
        min_by(country, {{ ecom_analytics.pack(["event_ts", "country"]) }})
            filter (where country is not null) as country
    from {{ ref("stg_events") }}
    where
        {{ on_those_days }}
        and (
            traffic_source is not null
            or medium is not null
            or campaign is not null
            or device is not null
            or country is not null
        )
    group by source, visitor_id, session_start
),

identified as (
    select
        {{ ecom_analytics.session_id("grouped.source", "grouped.visitor_id", "grouped.session_start") }} as session_id,
        {{ ecom_analytics.prefixed("grouped", own) | join(", ") }},
        attributes.touch.traffic_source as traffic_source,
        attributes.touch.medium as medium,
        attributes.touch.campaign as campaign,
        attributes.device,
        attributes.country
    from grouped
    left join attributes
        on
            grouped.source = attributes.source
            and grouped.visitor_id = attributes.visitor_id
            and grouped.session_start = attributes.session_start
),

counted as (
    {%- if partial %}
    select identified.*
    from identified
    inner join {{ touched }} as touched
        on identified.source = touched.source and identified.session_id = touched.session_id
    where touched.is_counted_anew
    union all
    -- No event of these went or came: something else that they tell did.
    select session_id, {{ own | join(", ") }}, {{ touch | join(", ") }}, device, country
    from {{ ecom_analytics.previous("sessions") }} as before
    where
        {{ ecom_analytics.is_one_of("before.session_date", ecom_analytics.asked(kept_dates)) }}
        and {{ ecom_analytics.is_touched("before", "(select * from " ~ touched ~ " where not is_counted_anew)", key) }}
    {%- else %}
    select * from identified
    {%- endif %}
),

orders as (
    select source, session_id, count(*) as transactions, sum(net_value) as net_value
    from {{ ref("transactions") }}
    group by source, session_id
)

select
    sessions.source,
    sessions.session_id,
    sessions.visitor_id,
    coalesce(logins.user_id, sessions.visitor_id) as user_id,
    sessions.session_start,
    sessions.session_end,
    sessions.session_date,
    sessions.session_end_date,
    sessions.events,
    sessions.views,
    sessions.add_to_carts,
    sessions.checkouts,
    sessions.purchases,
    coalesce(orders.transactions, 0) as transactions,
    {{ ecom_analytics.money(
        ecom_analytics.total("orders.net_value", "orders.transactions", "sources.has_values")
    ) }} as net_value,
    sessions.traffic_source,
    sessions.medium,
    sessions.campaign,
    sessions.device,
    sessions.country,
    bots.visitor_id is not null as is_bot
from counted as sessions
left join orders on sessions.source = orders.source and sessions.session_id = orders.session_id
left join {{ ref("int_visitor_logins") }} as logins
    on sessions.source = logins.source and sessions.visitor_id = logins.visitor_id
left join {{ ref("bots") }} as bots on sessions.source = bots.source and sessions.visitor_id = bots.visitor_id
left join {{ ref("int_sources") }} as sources on sessions.source = sources.source
