{%- set orders = ref("int_touched_orders") -%}
{%- set order_events = ref("int_order_events") -%}
{%- set logins = ref("int_visitor_logins") -%}
{%- set renamed = ref("int_renamed_visitors") -%}
-- Those, and all other transactions of their users, before and now: a new one gives the later ones another number.
{%- if ecom_analytics.is_partial() %}
with customers as (
    select transactions.source, transactions.user_id
    from {{ ecom_analytics.previous("transactions") }} as transactions
    inner join {{ orders }} as orders
        on transactions.source = orders.source and transactions.transaction_id = orders.transaction_id
    union
    select events.source, coalesce(logins.user_id, events.visitor_id) as user_id
    from {{ order_events }} as events
    inner join {{ orders }} as orders
        on events.source = orders.source and events.transaction_id = orders.transaction_id
    left join {{ logins }} as logins on events.source = logins.source and events.visitor_id = logins.visitor_id
    where events.line_number = 1
    union
    select source, user_before as user_id from {{ renamed }}
    union
    select source, user_id from {{ renamed }}
)

select source, transaction_id from {{ orders }}
union
select transactions.source, transactions.transaction_id
from {{ ecom_analytics.previous("transactions") }} as transactions
where {{ ecom_analytics.is_touched("transactions", "customers", ["source", "user_id"]) }}
{%- else %}
select source, transaction_id from {{ orders }} where false
{%- endif %}
