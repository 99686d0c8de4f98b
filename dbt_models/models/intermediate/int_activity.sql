{{ config(meta={"kept": true}) }}
{%- set touched = ref("int_touched_users") -%}
{%- set touched_visits = ref("int_touched_visits") -%}
{%- set partial = ecom_analytics.is_partial() -%}
-- On which days users came again, by the day on which they came first: how many came on that day, and for how many it
-- was the first day of its week or of its month. These add up over users, so that what users counted before can be
-- taken off, and what they count now added.
with visits as (
    {%- for sign, sessions, users in (
        [(1, touched_visits if partial else ref("sessions"), ref("users"))]
        + ([(-1, ecom_analytics.previous("sessions"), ecom_analytics.previous("users"))] if partial else [])
    ) %}
    {{ "union all" if not loop.first }}
    select {{ sign }} as change, sessions.source, sessions.user_id, comers.first_date, sessions.session_date as date
    from {{ sessions }} as sessions
    inner join (
        select source, user_id, first_date
        from {{ users }} as users
        where
            -- Most visitors come on one day only.
            first_date < last_date
            {{ "and " ~ ecom_analytics.is_touched("users", touched, ["source", "user_id"]) if partial }}
    ) as comers on sessions.source = comers.source and sessions.user_id = comers.user_id
    {%- endfor %}
),

days as (
    select
        change,
        source,
        first_date,
        date,
        lag(date) over (partition by change, source, user_id order by date) as date_before
    from visits
),

counted as (
    select
        source,
        first_date,
        date,
        change,
        case when date > date_before then 1 else 0 end as is_day,
        case when {{ dbt.date_trunc("week", "date") }} > {{ dbt.date_trunc("week", "date_before") }} then 1 else 0 end
            as is_week,
        case when {{ dbt.date_trunc("month", "date") }} > {{ dbt.date_trunc("month", "date_before") }} then 1 else 0 end
            as is_month
    from days
    where date > date_before
)

select
    source,
    first_date,
    date,
    {{ ecom_analytics.whole("sum(days)") }} as days,
    {{ ecom_analytics.whole("sum(weeks)") }} as weeks,
    {{ ecom_analytics.whole("sum(months)") }} as months
from (
    select
        source,
        first_date,
        date,
        sum(change * is_day) as days,
        sum(change * is_week) as weeks,
        sum(change * is_month) as months
    from counted
    group by source, first_date, date
    {%- if partial %}
    union all
    select source, first_date, date, days, weeks, months from {{ ecom_analytics.previous_state("int_activity") }}
    {%- endif %}
) as added
group by source, first_date, date
having sum(days) > 0
