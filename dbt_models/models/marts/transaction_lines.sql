{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_orders", "key": ["source", "transaction_id"], "whole_with": ["catalogue"]}
) }}
{%- set touched = ref("int_touched_orders") -%}
select
    lines.source,
    lines.transaction_id,
    {{ ecom_analytics.whole("lines.line_number") }} as line_number,
    lines.product_id,
    coalesce(lines.category, known.category) as category,
    coalesce(lines.brand, known.brand) as brand,
    known.available,
    lines.quantity,
    lines.unit_price,
    lines.revenue,
    lines.currency,
    lines.event_ts,
    lines.event_date,
    lines.batch_id,
    lines.source_line
from {{ ref("int_order_events") }} as lines
left join {{ ref("int_product_history") }} as known
    on {{ ecom_analytics.known_at("known", "lines", "lines.event_ts") }}
where lines.line_number is not null
    {%- if ecom_analytics.replaces_touched(["catalogue"]) %}
    and {{ ecom_analytics.is_touched("lines", touched, ["source", "transaction_id"]) }}
    {%- endif %}
