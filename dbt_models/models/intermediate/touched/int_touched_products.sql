{%- set changes = ref("int_changes") -%}
{%- set orders = ref("int_touched_orders") -%}
{%- set lines = ref("transaction_lines") -%}
{%- set history = ref("int_product_history") -%}
{%- set event_days = ref("int_event_days") -%}
-- depends_on: {{ ref("int_sources") }}
-- Products that an event names that went or came, that a touched transaction holds, or that the catalogue says
-- something else of, as of the last event of their source; all, where the catalogue or what a source knows changed.
select source, product_id from {{ changes }} where product_id is not null
union
select lines.source, lines.product_id
from {{ lines }} as lines
where lines.product_id is not null and {{ ecom_analytics.is_touched("lines", orders, ["source", "transaction_id"]) }}
{%- if ecom_analytics.is_partial() %}
union
select lines.source, lines.product_id
from {{ ecom_analytics.previous("transaction_lines") }} as lines
where lines.product_id is not null and {{ ecom_analytics.is_touched("lines", orders, ["source", "transaction_id"]) }}
union
select history.source, history.product_id
from {{ history }} as history
inner join (
    select source, max(last_event_ts) as moment from {{ event_days }} group by source
) as now on history.source = now.source
inner join (
    select source, max(last_event_ts) as moment
    from {{ ecom_analytics.previous_state("int_event_days") }}
    group by source
) as before on history.source = before.source
where
    (history.valid_from <= now.moment and history.valid_from > before.moment)
    or (history.valid_from <= before.moment and history.valid_from > now.moment)
{%- if not (ecom_analytics.same_catalogue() and ecom_analytics.same_sources()) %}
union
select source, product_id from {{ ecom_analytics.previous("products") }}
{%- endif %}
{%- endif %}
