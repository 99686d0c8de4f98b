{# Which visitors are bots: the rules, each with its threshold (0: no such rule), and what is measured for them. #}

{# The rules, in the order in which they are named. #}
{% macro bot_rules() %}{{ return(["rate", "volume", "no_pause"]) }}{% endmacro %}

{# The condition that measures break a rule. #}
{% macro bot_condition(rule) %}
    {%- set minute = var("bot_events_per_minute", 60) | int -%}
    {%- set day = var("bot_events_per_day", 2000) | int -%}
    {%- set run = (var("bot_hours_without_pause", 12) | float * 3600000000) | round | int -%}
    {{ return({
        "rate": "events_in_minute > " ~ minute if minute,
        "volume": "events_in_day > " ~ day if day,
        "no_pause": "longest_run >= " ~ run if run,
    }[rule] or "false") }}
{% endmacro %}

{# Microseconds of a longer gap than which two events are not of one run. #}
{% macro bot_pause() %}{{ return((var("bot_pause_seconds", 300) | float * 1000000) | round | int) }}{% endmacro %}

{#
  So many events or more has the largest session of a visitor that breaks a rule; none if there are no rules. By this the
  few visitors to be measured are told from the others without counting anything again. Sessions are further apart than
  the timeout, so only so many lie in a minute or a day, and one of them has its share of the events. (A day may have 48
  hours: clocks were set across the date line.) A run is of one session, unless its gaps may be longer than the timeout.
#}
{% macro least_events_of_a_bot() %}
    {%- set timeout = [(var("session_timeout_minutes", 30) | float * 60000000) | int, 1] | max -%}
    {%- set run = (var("bot_hours_without_pause", 12) | float * 3600000000) | round | int -%}
    {%- set least = [] -%}
    {%- for events, span in [
        (var("bot_events_per_minute", 60) | int, 60000000), (var("bot_events_per_day", 2000) | int, 172800000000)
    ] if events -%}
        {%- do least.append(events // (span // timeout + 1) + 1) -%}
    {%- endfor -%}
    {%- if run -%}
        {%- do least.append(run // ecom_analytics.bot_pause() + 1 if ecom_analytics.bot_pause() <= timeout else 1) -%}
    {%- endif -%}
    {{ return(least | min if least else none) }}
{% endmacro %}

{#
  CTEs, the last of them `bots`: the visitors of the CTE `suspects` that break a rule, which ones, and what was measured. An
  order, or a list of products that was sent as one record, is one event here, so that a large basket is no rate.
#}
{% macro bots_among_suspects() -%}
{%- set in_order -%} partition by source, visitor_id order by moment {%- endset -%}
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
    from {{ ref("stg_events") }} as event
    where
        exists (
            select 1 from suspects
            where suspects.source = event.source and suspects.visitor_id = event.visitor_id
        )
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
{%- endmacro %}
