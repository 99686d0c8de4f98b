{%- set changes = ref("int_changes") -%}
{%- set renamed = ref("int_renamed_visitors") -%}
{%- set flagged = ref("int_flagged_visitors") -%}
{%- set event_days = ref("int_event_days") -%}
-- Visitors of whom a cart's event went or came, who are another user or flagged otherwise than before, or with a cart
-- that can be open now or could be before: it depends on the time of the last event of all data.
select source, visitor_id from {{ changes }} where event_type in ('add_to_cart', 'remove_from_cart', 'purchase')
union
select source, visitor_id from {{ renamed }}
union
select source, visitor_id from {{ flagged }}
{%- if ecom_analytics.is_partial() %}
union
select carts.source, carts.visitor_id
from {{ ecom_analytics.previous("carts") }} as carts
where
    carts.status = 'open'
    or (carts.status = 'abandoned' and carts.closed_at >= (select max(last_event_ts) from {{ event_days }}))
{%- endif %}
