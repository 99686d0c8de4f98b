{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_dates", "key": ["date"], "whole_with": ["sources", "catalogue", "dimensions"]}
) }}
{%- set touched = ref("int_touched_dates") -%}
{%- set partial = ecom_analytics.replaces_touched(["sources", "catalogue", "dimensions"]) -%}
{%- set dates = ecom_analytics.asked("select date from " ~ touched) if partial else none -%}
{%- set event_days = ref("int_event_days") -%}
{#- Only what any session says is looked at: a source that says nothing costs nothing. -#}
{%- set of_sessions = ecom_analytics.known_dimensions(event_days, ecom_analytics.session_dimensions()) -%}
with late {{ ecom_analytics.as_once() }} (
    -- Sessions that go on after midnight have their visitor on the later days too.
    select distinct event_date as date, source, visitor_id, session_start
    from {{ ref("stg_events") }}
    where session_start < {{ ecom_analytics.start_of_day("event_date") }}
        and {{ ecom_analytics.is_one_of("event_date", dates) }}
),

later_days as (
    select late.date, sessions.*
    from {{ ref("sessions") }} as sessions
    inner join late
        on
            sessions.source = late.source
            and sessions.visitor_id = late.visitor_id
            and sessions.session_start = late.session_start
    where sessions.session_date < sessions.session_end_date
),

orders as (
    select
        transactions.source,
        transactions.transaction_date as date,
        transactions.visitor_id,
        transactions.quantity,
        transactions.net_value,
        sessions.is_bot
        {%- for dimension in of_sessions %},
        sessions.{{ dimension }}
        {%- endfor %}
    from {{ ref("transactions") }} as transactions
    inner join {{ ref("sessions") }} as sessions
        on
            transactions.source = sessions.source
            and transactions.session_id = sessions.session_id
            and sessions.transactions > 0
    where {{ ecom_analytics.is_one_of("transactions.transaction_date", dates) }}
),

{%- for dimension in ["is_bot"] + of_sessions %}

visits_by_{{ dimension }} as (
    select
        date,
        source,
        {{ dimension }} as value,
        count(*) as visitors,
        sum(sessions) as sessions,
        sum(converting_sessions) as converting_sessions
    from (
        select
            date,
            source,
            visitor_id,
            {{ dimension }},
            sum(sessions) as sessions,
            sum(converting_sessions) as converting_sessions
        from (
            select
                session_date as date,
                source,
                visitor_id,
                {{ dimension }},
                1 as sessions,
                case when transactions > 0 then 1 else 0 end as converting_sessions
            from {{ ref("sessions") }}
            where {{ ecom_analytics.is_one_of("session_date", dates) }}
            union all
            select date, source, visitor_id, {{ dimension }}, 0 as sessions, 0 as converting_sessions
            from later_days
        ) as visits
        group by date, source, visitor_id, {{ dimension }}
    ) as visitor_days
    group by date, source, {{ dimension }}
),

orders_by_{{ dimension }} as (
    select
        date,
        source,
        {{ dimension }} as value,
        count(distinct visitor_id) as purchasers,
        count(*) as transactions,
        sum(quantity) as quantity,
        sum(net_value) as net_value
    from orders
    group by date, source, {{ dimension }}
),

by_{{ dimension }} as (
    select
        coalesce(visits.date, orders.date) as date,
        coalesce(visits.source, orders.source) as source,
        '{{ dimension }}' as dimension,
        cast(coalesce(visits.value, orders.value) as {{ dbt.type_string() }}) as value,
        coalesce(visits.visitors, 0) as visitors,
        coalesce(visits.sessions, 0) as sessions,
        coalesce(visits.converting_sessions, 0) as converting_sessions,
        coalesce(orders.purchasers, 0) as purchasers,
        coalesce(orders.transactions, 0) as transactions,
        orders.quantity,
        orders.net_value
    from visits_by_{{ dimension }} as visits
    full outer join orders_by_{{ dimension }} as orders
        on
            visits.date = orders.date
            and visits.source = orders.source
            and (visits.value = orders.value or (visits.value is null and orders.value is null))
),
{%- endfor %}

-- A visitor is a bot or is none: these add up.
by_source as (
    select
        date,
        source,
        'source' as dimension,
        source as value,
        sum(visitors) as visitors,
        sum(sessions) as sessions,
        sum(converting_sessions) as converting_sessions,
        sum(purchasers) as purchasers,
        sum(transactions) as transactions,
        sum(quantity) as quantity,
        sum(net_value) as net_value
    from by_is_bot
    group by date, source
),

by_session as (
    select * from by_source
    {%- for dimension in ["is_bot"] + of_sessions %}
    union all
    select * from by_{{ dimension }}
    {%- endfor %}
),

known as (
    select
        source
        {%- for dimension in ecom_analytics.session_dimensions() %},
        sum({{ dimension }}) > 0 as {{ dimension }}
        {%- endfor %}
    from {{ event_days }}
    group by source
),

by_line as (
    {%- for dimension in ["category", "brand"] %}
    {{ "union all" if not loop.first }}
    select
        event_date as date,
        source,
        '{{ dimension }}' as dimension,
        {{ dimension }} as value,
        count(*) as lines,
        count(distinct transaction_id) as transactions,
        sum(quantity) as quantity,
        sum(revenue) as revenue
    from {{ ref("transaction_lines") }} as lines
    where
        {{ ecom_analytics.is_one_of("event_date", dates) }}
        and exists (
            select 1
            from {{ ref("capabilities") }} as capabilities
            where
                capabilities.source = lines.source
                and capabilities.capability = '{{ dimension }}'
                and capabilities.available
        )
    group by event_date, source, {{ dimension }}
    {%- endfor %}
)

select
    counted.date,
    counted.source,
    counted.dimension,
    counted.value,
    {{ ecom_analytics.whole("counted.visitors") }} as visitors,
    {{ ecom_analytics.whole("counted.sessions") }} as sessions,
    {{ ecom_analytics.whole("counted.converting_sessions") }} as converting_sessions,
    {{ ecom_analytics.whole("counted.purchasers") }} as purchasers,
    {{ ecom_analytics.whole("counted.transactions") }} as transactions,
    {{ ecom_analytics.money(
        ecom_analytics.total("counted.quantity", "counted.transactions", "sources.has_quantities")
    ) }} as quantity,
    {{ ecom_analytics.money(
        ecom_analytics.total("counted.net_value", "counted.transactions", "sources.has_values")
    ) }} as net_value,
    {{ ecom_analytics.money("null") }} as revenue
from by_session as counted
inner join known on counted.source = known.source
left join {{ ref("int_sources") }} as sources on counted.source = sources.source
where
    counted.dimension in ('source', 'is_bot')
    {%- for dimension in of_sessions %}
    or (counted.dimension = '{{ dimension }}' and known.{{ dimension }})
    {%- endfor %}
union all
select
    counted.date,
    counted.source,
    counted.dimension,
    counted.value,
    {{ ecom_analytics.whole("null") }} as visitors,
    {{ ecom_analytics.whole("null") }} as sessions,
    {{ ecom_analytics.whole("null") }} as converting_sessions,
    {{ ecom_analytics.whole("null") }} as purchasers,
    {{ ecom_analytics.whole("counted.transactions") }} as transactions,
    {{ ecom_analytics.money(
        ecom_analytics.total("counted.quantity", "counted.lines", "sources.has_quantities")
    ) }} as quantity,
    {{ ecom_analytics.money("null") }} as net_value,
    {{ ecom_analytics.money(
        ecom_analytics.total("counted.revenue", "counted.lines", "sources.has_values")
    ) }} as revenue
from by_line as counted
left join {{ ref("int_sources") }} as sources on counted.source = sources.source
