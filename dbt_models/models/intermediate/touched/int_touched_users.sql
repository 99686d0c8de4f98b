{%- set changed = ref("int_changed_visitors") -%}
{%- set renamed = ref("int_renamed_visitors") -%}
{%- set logins = ref("int_visitor_logins") -%}
{%- set orders = ref("int_touched_orders") -%}
{%- set transactions = ref("transactions") -%}
-- Users, before and now, of visitors with an event that went or came, and of touched transactions.
{%- if ecom_analytics.is_partial() %}
select visitors.source, coalesce(logins.user_id, visitors.visitor_id) as user_id
from {{ changed }} as visitors
left join {{ logins }} as logins
    on visitors.source = logins.source and visitors.visitor_id = logins.visitor_id
union
select source, user_before from {{ renamed }}
union
select transactions.source, transactions.user_id
from {{ ecom_analytics.previous("transactions") }} as transactions
where {{ ecom_analytics.is_touched("transactions", orders, ["source", "transaction_id"]) }}
union
select transactions.source, transactions.user_id
from {{ transactions }} as transactions
where {{ ecom_analytics.is_touched("transactions", orders, ["source", "transaction_id"]) }}
{%- else %}
select source, user_id from {{ transactions }} where false
{%- endif %}
