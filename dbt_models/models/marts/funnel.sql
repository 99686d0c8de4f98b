{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_changed_visitors", "key": ["source", "visitor_id"]}
) }}
{%- set events = ref("int_touched_events") if ecom_analytics.is_partial() else ref("stg_events") -%}
{%- set steps = ecom_analytics.funnel_steps() -%}
{#- Events of one moment are taken in the order of the steps, others last. -#}
{%- set in_order -%} partition by source, visitor_id order by event_ts, rank {%- endset -%}
-- depends_on: {{ ref("int_changed_visitors") }}, {{ ref("int_touched_events") }}
with movers as (
    {%- if ecom_analytics.is_partial() %}
    select distinct source, visitor_id
    from {{ events }}
    where event_type in ('{{ steps[1:] | join("', '") }}')
    {%- else %}
    -- The same visitors, without reading all events for them.
    select distinct source, visitor_id
    from {{ ref("sessions") }}
    where add_to_carts + checkouts + purchases > 0
    {%- endif %}
),

moves as (
    select
        source,
        visitor_id,
        session_start,
        event_ts,
        case
            {%- for step in steps %}
            when event_type = '{{ step }}' then {{ loop.index }}
            {%- endfor %}
            else {{ steps | length + 1 }}
        end as rank,
        case when event_type in ('{{ steps | join("', '") }}') then event_type else 'other' end as step
    from {{ events }} as events
    where {{ ecom_analytics.is_touched("events", "movers", ["source", "visitor_id"]) }}
),

-- Equal ones of a moment are one, so that there is one order only.
moments as (
    select source, visitor_id, session_start, event_ts, rank, step, count(*) as events
    from moves
    group by source, visitor_id, session_start, event_ts, rank, step
),

compared as (
    select
        *,
        case
            when step = lag(step) over ({{ in_order }}) and session_start = lag(session_start) over ({{ in_order }})
                then 0
            else 1
        end as is_first
    from moments
),

numbered as (
    select *, sum(is_first) over ({{ in_order }} rows between unbounded preceding and current row) as run_number
    from compared
),

runs as (
    select
        source,
        visitor_id,
        run_number,
        session_start,
        step,
        min(event_ts) as first_ts,
        max(event_ts) as last_ts,
        sum(events) as events
    from numbered
    group by source, visitor_id, run_number, session_start, step
)

select
    runs.source,
    runs.visitor_id,
    {{ ecom_analytics.whole("runs.run_number") }} as run_number,
    {{ ecom_analytics.session_id("runs.source", "runs.visitor_id", "runs.session_start") }} as session_id,
    {{ ecom_analytics.date_of("runs.session_start") }} as session_date,
    runs.step,
    runs.first_ts,
    runs.last_ts,
    {{ ecom_analytics.whole("runs.events") }} as events,
    bots.visitor_id is not null as is_bot
from runs
left join {{ ref("bots") }} as bots on runs.source = bots.source and runs.visitor_id = bots.visitor_id
