{%- set event_days = ref("int_event_days") -%}
{%- set order_events = ref("int_order_events") -%}
{%- set orders = ref("int_touched_orders") -%}
{%- set sessions = ref("int_touched_sessions") -%}
-- Dates of events that went or came, of their sessions, and of the lines of touched transactions and their sessions.
select event_date as date from {{ ref("int_touched_days") }}
union
select {{ ecom_analytics.each_day("session_date", "last_day") }}
from (select distinct session_date, last_day from {{ sessions }}) as spans
union
select events.event_date
from {{ order_events }} as events
where events.line_number is not null and {{ ecom_analytics.is_touched("events", orders, ["source", "transaction_id"]) }}
{%- if ecom_analytics.is_partial() %}
-- Days between what were the first and the last day and what are.
{%- for end in ["min", "max"] %}
union
select {{ ecom_analytics.each_day("least(now.date, before.date)", "greatest(now.date, before.date)") }}
from (select {{ end }}(event_date) as date from {{ event_days }}) as now
cross join (
    select {{ end }}(event_date) as date from {{ ecom_analytics.previous_state("int_event_days") }}
) as before
where now.date is not null and before.date is not null
{%- endfor %}
union
select events.event_date
from {{ ecom_analytics.previous_state("int_order_events") }} as events
where events.line_number is not null and {{ ecom_analytics.is_touched("events", orders, ["source", "transaction_id"]) }}
{%- endif %}
