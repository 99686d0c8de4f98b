select
    source,
    transaction_id,
    {{ ecom_analytics.whole("line_number") }} as line_number,
    product_id,
    quantity,
    unit_price,
    revenue,
    currency,
    event_ts,
    batch_id,
    source_line
from {{ ref("int_order_events") }}
where line_number is not null
