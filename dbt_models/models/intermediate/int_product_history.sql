-- What the catalogue says of each product, from valid_from until before valid_to: what was said last of each column.
-- Where two files say different things of all times, the one that was ingested last is right; of one time, the larger
-- value is, so that it does not matter how the rows are spread over files.
{%- set said_last = "case when valid_from is null then ingested_at end" %}
{%- set columns = ["name", "category", "brand", "list_price", "available"] %}
with known as (
    select
        source,
        product_id,
        valid_from,
        ingested_at,
        name,
        category,
        brand,
        available,
        case when price is not null then {{ ecom_analytics.pack(["price", "currency"]) }} end as list_price
    from {{ ref("stg_products") }}
    where
        name is not null
        or category is not null
        or brand is not null
        or price is not null
        or available is not null
),

moments as (
    select
        source,
        product_id,
        coalesce(valid_from, {{ ecom_analytics.always("from") }}) as valid_from
        {%- for column in columns %},
        max_by({{ column }}, {{ ecom_analytics.pack(["said_last", column]) }})
            filter (where {{ column }} is not null) as {{ column }}
        {%- endfor %}
    from (select *, {{ said_last }} as said_last from known) as said
    group by source, product_id, coalesce(valid_from, {{ ecom_analytics.always("from") }})
),

filled as (
    select
        source,
        product_id,
        valid_from,
        lead(valid_from) over (partition by source, product_id order by valid_from) as next_from
        {%- for column in columns %},
        {{ ecom_analytics.last_known(column) }} over so_far as {{ column }}
        {%- endfor %}
    from moments
    window so_far as (
        partition by source, product_id order by valid_from rows between unbounded preceding and current row
    )
)

select
    source,
    product_id,
    valid_from,
    coalesce(next_from, {{ ecom_analytics.always("to") }}) as valid_to,
    name,
    category,
    brand,
    list_price.price as list_price,
    list_price.currency as list_currency,
    available
from filled
