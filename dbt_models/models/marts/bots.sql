{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_changed_visitors", "key": ["source", "visitor_id"]}
) }}
{%- set events = ref("int_touched_events") if ecom_analytics.is_partial() else ref("stg_events") -%}
{%- set least_events = ecom_analytics.least_events_of_a_bot() -%}
{%- set in_order -%} partition by source, visitor_id order by moment {%- endset -%}
-- depends_on: {{ ref("int_changed_visitors") }}, {{ ref("int_touched_events") }}
with suspects {{ ecom_analytics.as_once() }} (
    select source, visitor_id
    from {{ events }}
    {{ "" if least_events else "where false" }}
    group by source, visitor_id
    having count(*) >= {{ least_events or 0 }}
),

-- An order, or a list of products that was sent as one record, is one event here: a large basket is no rate.
suspect_records as (
    select
        source,
        visitor_id,
        event_date,
        {{ ecom_analytics.epoch_microseconds("event_ts") }} as moment,
        case
            when transaction_id is not null then 1
            else
                count(case when source_item is null then 1 end)
                + max(case when source_item is not null then 1 else 0 end)
        end as events
    from {{ events }} as event
    where {{ ecom_analytics.is_touched("event", "suspects", ["source", "visitor_id"]) }}
    group by source, visitor_id, event_date, event_ts, event_type, transaction_id
),

suspect_moments as (
    select source, visitor_id, event_date, moment, sum(events) as events
    from suspect_records
    group by source, visitor_id, event_date, moment
),

suspect_minutes as (
    select
        *,
        sum(events) over ({{ in_order }} range between 59999999 preceding and current row) as events_in_minute,
        sum(events) over (partition by source, visitor_id, event_date) as events_in_day,
        coalesce(moment - lag(moment) over ({{ in_order }}) <= {{ ecom_analytics.bot_pause() }}, false) as goes_on
    from suspect_moments
),

suspect_runs as (
    select
        *,
        moment - max(case when not goes_on then moment end) over (
            {{ in_order }} rows between unbounded preceding and current row
        ) as run
    from suspect_minutes
),

suspect_measures as (
    select
        source,
        visitor_id,
        max(events_in_minute) as events_in_minute,
        max(events_in_day) as events_in_day,
        max(run) as longest_run
    from suspect_runs
    group by source, visitor_id
),

bots as (
    select
        source,
        visitor_id,
        concat_ws(
            ', '
            {%- for rule in ecom_analytics.bot_rules() %},
            case when {{ ecom_analytics.bot_condition(rule) }} then '{{ rule }}' end
            {%- endfor %}
        ) as rules,
        {{ ecom_analytics.whole("events_in_minute") }} as events_in_minute,
        {{ ecom_analytics.whole("events_in_day") }} as events_in_day,
        {{ ecom_analytics.whole("floor(longest_run / 1000000)") }} as longest_run_seconds
    from suspect_measures
    where
        {% for rule in ecom_analytics.bot_rules() -%}
        {{ "or " if not loop.first }}{{ ecom_analytics.bot_condition(rule) }}
        {% endfor %}
)

select
    bots.source,
    bots.visitor_id,
    coalesce(logins.user_id, bots.visitor_id) as user_id,
    bots.rules,
    bots.events_in_minute,
    bots.events_in_day,
    bots.longest_run_seconds
from bots
left join {{ ref("int_visitor_logins") }} as logins
    on bots.source = logins.source and bots.visitor_id = logins.visitor_id
