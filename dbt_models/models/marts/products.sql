{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_products", "key": ["source", "product_id"]}
) }}
{%- set touched = ref("int_touched_products") -%}
{%- set changes = ref("int_changes") -%}
{%- set touched_events = ref("int_touched_events") -%}
{%- set partial = ecom_analytics.is_partial() -%}
{%- set product = ["source", "product_id"] -%}
{%- set pair = ["source", "product_id", "visitor_id"] -%}
with {% if partial -%}
-- Visitors with a view of a product that went or came, and by how many there are more.
viewings as (
    select source, product_id, visitor_id, sum(change) as views
    from {{ changes }}
    where event_type = 'view' and product_id is not null
    group by source, product_id, visitor_id
),

{% endif -%}
viewed as (
    {%- if partial %}
    -- What was counted before, and what went and came since.
    select
        source,
        product_id,
        {{ ecom_analytics.whole("sum(events)") }} as events,
        {{ ecom_analytics.whole("sum(views)") }} as views,
        {{ ecom_analytics.whole("sum(add_to_carts)") }} as add_to_carts,
        {{ ecom_analytics.whole("sum(purchases)") }} as purchases,
        {{ ecom_analytics.whole("sum(viewers)") }} as viewers
    from (
        select source, product_id, events, views, add_to_carts, purchases, viewers
        from {{ ecom_analytics.previous("products") }} as before
        where {{ ecom_analytics.is_touched("before", touched, product) }}
        union all
        select
            source,
            product_id,
            sum(change) as events,
            sum(case when event_type = 'view' then change else 0 end) as views,
            sum(case when event_type = 'add_to_cart' then change else 0 end) as add_to_carts,
            sum(case when event_type = 'purchase' then change else 0 end) as purchases,
            0 as viewers
        from {{ changes }}
        where product_id is not null
        group by source, product_id
        union all
        -- A visitor that viewed it now and not before, or the other way round.
        select
            changed.source,
            changed.product_id,
            0 as events,
            0 as views,
            0 as add_to_carts,
            0 as purchases,
            case when coalesce(now.views, 0) > 0 then 1 else 0 end
            - case when coalesce(now.views, 0) > changed.views then 1 else 0 end as viewers
        from viewings as changed
        left join (
            select source, product_id, visitor_id, count(*) as views
            from {{ touched_events }} as events
            where
                event_type = 'view'
                and product_id is not null
                and {{ ecom_analytics.is_touched("events", "viewings", pair) }}
            group by source, product_id, visitor_id
        ) as now
            on
                changed.source = now.source
                and changed.product_id = now.product_id
                and changed.visitor_id = now.visitor_id
    ) as counted
    group by source, product_id
    having sum(events) > 0
    {%- else %}
    select
        source,
        product_id,
        count(*) as events,
        count(case when event_type = 'view' then 1 end) as views,
        count(case when event_type = 'add_to_cart' then 1 end) as add_to_carts,
        count(case when event_type = 'purchase' then 1 end) as purchases,
        count(distinct case when event_type = 'view' then visitor_id end) as viewers
    from {{ ref("stg_events") }}
    where product_id is not null
    group by source, product_id
    {%- endif %}
),

bought as (
    select source, product_id, count(distinct visitor_id) as buyers
    from {{ ref("int_order_events") }} as events
    where event_type = 'purchase' and product_id is not null
        {{ "and " ~ ecom_analytics.is_touched("events", touched, product) if partial }}
    group by source, product_id
),

sold as (
    select source, product_id, count(*) as lines, sum(quantity) as quantity, sum(revenue) as revenue
    from {{ ref("transaction_lines") }} as lines
    where product_id is not null
        {{ "and " ~ ecom_analytics.is_touched("lines", touched, product) if partial }}
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
    viewed.events,
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
