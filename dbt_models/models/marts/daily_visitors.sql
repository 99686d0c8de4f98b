{%- set touched = ref("int_touched_users") -%}
{%- set touched_visits = ref("int_touched_visits") -%}
{%- set partial = ecom_analytics.is_partial() -%}
{%- set visitor = ["change", "source", "visitor_id"] -%}
-- A visitor is counted once in a range of days by its first day in it: the one whose day before lies before the range,
-- or that has none. So visitors of any range are a sum. What visitors counted before is taken off, and what they count
-- now added.
with visits as (
    {%- for sign, sessions in (
        [(1, touched_visits if partial else ref("sessions"))]
        + ([(-1, ecom_analytics.previous("sessions"))] if partial else [])
    ) %}
    {{ "union all" if not loop.first }}
    select {{ sign }} as change, source, visitor_id, is_bot, session_date, session_end_date
    from {{ sessions }} as sessions
    {{ "where " ~ ecom_analytics.is_touched("sessions", touched, ["source", "user_id"]) if partial }}
    {%- endfor %}
),

visitors as (
    select
        {{ visitor | join(", ") }},
        max(case when is_bot then 1 else 0 end) = 1 as is_bot,
        min(session_date) as first_date,
        max(session_end_date) as last_date
    from visits
    group by {{ visitor | join(", ") }}
),

-- Most visitors come on one day only.
comers as (
    select * from visitors where first_date < last_date
),

spans as (
    select distinct
        {{ ecom_analytics.prefixed("visits", visitor) | join(", ") }},
        comers.is_bot,
        visits.session_date,
        visits.session_end_date
    from visits
    inner join comers
        on
            visits.change = comers.change
            and visits.source = comers.source
            and visits.visitor_id = comers.visitor_id
),

days as (
    select {{ visitor | join(", ") }}, is_bot, session_date as date from spans
    union
    select {{ visitor | join(", ") }}, is_bot, {{ ecom_analytics.each_day("session_date", "session_end_date") }} as date
    from spans
    where session_date < session_end_date
),

numbered as (
    select
        change,
        source,
        is_bot,
        date,
        lag(date) over (partition by {{ visitor | join(", ") }} order by date) as date_before
    from days
    union all
    select change, source, is_bot, first_date as date, cast(null as date) as date_before
    from visitors
    where first_date = last_date
)

select
    date,
    source,
    is_bot,
    date_before,
    {{ ecom_analytics.whole("sum(visitors)") }} as visitors
from (
    select date, source, is_bot, date_before, sum(change) as visitors
    from numbered
    group by date, source, is_bot, date_before
    {%- if partial %}
    union all
    select date, source, is_bot, date_before, visitors from {{ ecom_analytics.previous("daily_visitors") }}
    {%- endif %}
) as added
group by date, source, is_bot, date_before
having sum(visitors) > 0
