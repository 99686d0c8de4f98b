{{ config(materialized="ephemeral") }}
-- The latest known category and brand of a product. Free of cost for sources that know neither.
select
    source,
    product_id,
    max_by(category, {{ ecom_analytics.pack(["event_ts", "category"]) }})
        filter (where category is not null) as category,
    max_by(brand, {{ ecom_analytics.pack(["event_ts", "brand"]) }}) filter (where brand is not null) as brand
from {{ ref("stg_events") }}
where product_id is not null and (category is not null or brand is not null)
group by source, product_id
