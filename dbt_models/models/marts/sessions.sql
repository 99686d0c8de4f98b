with grouped as (
    select
        source,
        visitor_id,
        session_start,
        max(event_ts) as session_end,
        -- The day of an event never falls as its time rises, so this is the day of the session's start.
        min(event_date) as session_date,
        count(*) as events,
        count(case when event_type = 'view' then 1 end) as views,
        count(case when event_type = 'add_to_cart' then 1 end) as add_to_carts,
        count(case when event_type = 'purchase' then 1 end) as purchases
    from {{ ref("stg_events") }}
    group by source, visitor_id, session_start
),

identified as (
    select *, {{ ecom_analytics.session_id() }} as session_id
    from grouped
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
    sessions.events,
    sessions.views,
    sessions.add_to_carts,
    sessions.purchases,
    coalesce(orders.transactions, 0) as transactions,
    {{ ecom_analytics.money(
        ecom_analytics.total("orders.net_value", "orders.transactions", "sources.has_values")
    ) }} as net_value,
    attributes.touch.traffic_source as traffic_source,
    attributes.touch.medium as medium,
    attributes.touch.campaign as campaign,
    attributes.device,
    attributes.country,
    bots.visitor_id is not null as is_bot
from identified as sessions
left join orders on sessions.source = orders.source and sessions.session_id = orders.session_id
left join {{ ref("int_visitor_logins") }} as logins
    on sessions.source = logins.source and sessions.visitor_id = logins.visitor_id
left join {{ ref("int_session_attributes") }} as attributes
    on
        sessions.source = attributes.source
        and sessions.visitor_id = attributes.visitor_id
        and sessions.session_start = attributes.session_start
left join {{ ref("bots") }} as bots on sessions.source = bots.source and sessions.visitor_id = bots.visitor_id
left join {{ ref("int_sources") }} as sources on sessions.source = sources.source
