with viewed as (
    select
        source,
        product_id,
        count(case when event_type = 'view' then 1 end) as views,
        count(case when event_type = 'add_to_cart' then 1 end) as add_to_carts,
        count(case when event_type = 'purchase' then 1 end) as purchases,
        count(distinct case when event_type = 'view' then visitor_id end) as viewers
    from {{ ref("stg_events") }}
    where product_id is not null
    group by source, product_id
),

bought as (
    select source, product_id, count(distinct visitor_id) as buyers
    from {{ ref("int_order_events") }}
    where event_type = 'purchase' and product_id is not null
    group by source, product_id
),

sold as (
    select source, product_id, count(*) as lines, sum(quantity) as quantity, sum(revenue) as revenue
    from {{ ref("transaction_lines") }}
    where product_id is not null
    group by source, product_id
),

-- What the catalogue says of a product is taken as of the last event of its source.
last_events as (
    select source, max(last_event_ts) as last_event_ts
    from {{ ref("int_event_days") }}
    group by source
),

described as (
    select known.*
    from {{ ref("int_product_history") }} as known
    inner join last_events
        on
            known.source = last_events.source
            and last_events.last_event_ts >= known.valid_from
            and last_events.last_event_ts < known.valid_to
)

select
    viewed.source,
    viewed.product_id,
    described.name,
    coalesce(attributes.category, described.category) as category,
    paths.path as category_path,
    coalesce(attributes.brand, described.brand) as brand,
    described.list_price,
    described.list_currency,
    described.available,
    viewed.views,
    viewed.add_to_carts,
    viewed.purchases,
    {{ ecom_analytics.money(
        ecom_analytics.total("sold.quantity", "sold.lines", "sources.has_quantities")
    ) }} as quantity,
    {{ ecom_analytics.money(
        ecom_analytics.total("sold.revenue", "sold.lines", "sources.has_values")
    ) }} as revenue,
    viewed.viewers,
    coalesce(bought.buyers, 0) as buyers
from viewed
left join bought on viewed.source = bought.source and viewed.product_id = bought.product_id
left join sold on viewed.source = sold.source and viewed.product_id = sold.product_id
left join {{ ref("int_product_attributes") }} as attributes
    on viewed.source = attributes.source and viewed.product_id = attributes.product_id
left join described on viewed.source = described.source and viewed.product_id = described.product_id
left join {{ ref("int_category_paths") }} as paths
    on
        viewed.source = paths.source
        and coalesce(attributes.category, described.category) = paths.category_id
left join {{ ref("int_sources") }} as sources on viewed.source = sources.source
