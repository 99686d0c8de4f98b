{%- set changes = ref("int_changes") -%}
{%- set orders = ref("int_touched_orders") -%}
{%- set order_events = ref("int_order_events") -%}
{%- set renamed = ref("int_renamed_visitors") -%}
{%- set flagged = ref("int_flagged_visitors") -%}
{%- set key = ["source", "session_id"] -%}
{%- set others -%}
    select source, visitor_id from {{ renamed }} union select source, visitor_id from {{ flagged }}
{%- endset -%}
{%- set named -%}
    select distinct source, session_id, session_start from {{ changes }}
    union
    select events.source, events.session_id, events.session_start
    from {{ order_events }} as events
    where events.line_number = 1 and {{ ecom_analytics.is_touched("events", orders, ["source", "transaction_id"]) }}
    {%- if ecom_analytics.is_partial() %}
    union
    select events.source, events.session_id, events.session_start
    from {{ ecom_analytics.previous_state("int_order_events") }} as events
    where events.line_number = 1 and {{ ecom_analytics.is_touched("events", orders, ["source", "transaction_id"]) }}
    {%- endif %}
{%- endset -%}
{%- set dates -%}
    select distinct {{ ecom_analytics.date_of("session_start") }} as day from ({{ named }}) as named
{%- endset -%}
-- Sessions with an event that went or came (`is_counted_anew`), with a touched transaction, or of a visitor that is of
-- another user or flagged otherwise than before; with the days on which their events lie.
{%- if ecom_analytics.is_partial() %}
with named as (
    select source, session_id, {{ ecom_analytics.date_of("session_start") }} as session_date
    from ({{ named }}) as named
),

changed as (
    select source, session_id, max(event_date) as last_day
    from {{ changes }}
    group by source, session_id
),

before as (
    select source, session_id, session_date, session_end_date as last_day
    from {{ ecom_analytics.previous("sessions") }} as sessions
    where
        {{ ecom_analytics.is_one_of("session_date", ecom_analytics.asked(dates)) }}
        and {{ ecom_analytics.is_touched("sessions", "named", key) }}
    {%- if ecom_analytics.asked(others) %}
    union
    select source, session_id, session_date, session_end_date
    from {{ ecom_analytics.previous("sessions") }} as sessions
    where {{ ecom_analytics.is_touched("sessions", "(" ~ others ~ ")", ["source", "visitor_id"]) }}
    {%- endif %}
),

touched as (
    select source, session_id, session_date, last_day from before
    union all
    select source, session_id, session_date, session_date as last_day from named
)

select
    touched.source,
    touched.session_id,
    touched.session_date,
    greatest(max(touched.last_day), coalesce(max(changed.last_day), max(touched.last_day))) as last_day,
    max(changed.session_id) is not null as is_counted_anew
from touched
left join changed on touched.source = changed.source and touched.session_id = changed.session_id
group by touched.source, touched.session_id, touched.session_date
{%- else %}
select source, session_id, event_date as session_date, event_date as last_day, false as is_counted_anew
from {{ changes }}
where false
{%- endif %}
