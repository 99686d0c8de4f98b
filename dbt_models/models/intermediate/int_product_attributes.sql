{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_changed_products", "key": ["source", "product_id"]}
) }}
{%- set touched = ref("int_changed_products") -%}
{%- set changes = ref("int_changes") -%}
{%- set partial = ecom_analytics.is_partial() -%}
{%- set lost -%}
    select 1 from {{ touched }} where has_lost_attribute limit 1
{%- endset -%}
-- The latest category and brand that events say of a product, with their times. Free of cost for sources that know
-- neither. Where none of what was said went, what was known is compared with what came; else all is read again.
with said as (
    {%- if partial %}
    select before.source, before.product_id, before.category_ts, before.category, before.brand_ts, before.brand
    from {{ ecom_analytics.previous_state("int_product_attributes") }} as before
    inner join {{ touched }} as touched
        on before.source = touched.source and before.product_id = touched.product_id
    where not touched.has_lost_attribute
    union all
    select
        source,
        product_id,
        case when category is not null then event_ts end as category_ts,
        category,
        case when brand is not null then event_ts end as brand_ts,
        brand
    from {{ changes }}
    where change > 0 and product_id is not null and (category is not null or brand is not null)
    {%- endif %}
    {%- if not partial or ecom_analytics.asked(lost) %}
    {{ "union all" if partial }}
    select
        source,
        product_id,
        case when category is not null then event_ts end as category_ts,
        category,
        case when brand is not null then event_ts end as brand_ts,
        brand
    from {{ ref("stg_events") }} as events
    where
        product_id is not null
        and (category is not null or brand is not null)
        {%- if partial %}
        and {{ ecom_analytics.is_touched(
            "events", "(select * from " ~ touched ~ " where has_lost_attribute)", ["source", "product_id"]
        ) }}
        {%- endif %}
    {%- endif %}
)

select
    source,
    product_id,
    max(category_ts) as category_ts,
    max_by(category, {{ ecom_analytics.pack(["category_ts", "category"]) }})
        filter (where category is not null) as category,
    max(brand_ts) as brand_ts,
    max_by(brand, {{ ecom_analytics.pack(["brand_ts", "brand"]) }}) filter (where brand is not null) as brand
from said
group by source, product_id
