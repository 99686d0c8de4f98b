{%- set changed = ref("int_changed_visitors") -%}
-- All events of visitors with an event that went or came: who asks what they ever did finds it here, after one scan.
select
    source,
    visitor_id,
    session_start,
    event_ts,
    event_date,
    event_type,
    product_id,
    transaction_id,
    source_item
from {{ ref("stg_events") }} as events
where {{ ecom_analytics.is_touched("events", changed, ["source", "visitor_id"]) if ecom_analytics.is_partial() else "false" }}
