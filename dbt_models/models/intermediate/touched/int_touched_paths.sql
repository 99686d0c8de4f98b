{%- set orders = ref("int_touched_orders") -%}
{%- set visitors = ref("int_changed_visitors") -%}
{%- set transactions = ref("transactions") -%}
{%- set event_days = ref("int_event_days") -%}
-- Transactions that were touched, or whose visitor has an event that went or came; all of a source of which it was
-- not known before where visitors come from, or is not any more.
select source, transaction_id from {{ orders }}
{%- if ecom_analytics.is_partial() %}
{%- for rows in [transactions, ecom_analytics.previous("transactions")] %}
union
select transactions.source, transactions.transaction_id
from {{ rows }} as transactions
where {{ ecom_analytics.is_touched("transactions", visitors, ["source", "visitor_id"]) }}
{%- endfor %}
union
select transactions.source, transactions.transaction_id
from {{ transactions }} as transactions
inner join (
    {{ ecom_analytics.sources_with_visits(event_days) }}
) as now on transactions.source = now.source
inner join (
    {{ ecom_analytics.sources_with_visits(ecom_analytics.previous_state("int_event_days")) }}
) as before on transactions.source = before.source
where now.has_visits <> before.has_visits
{%- endif %}
