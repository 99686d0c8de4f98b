{%- set least = var("affinity_min_together", 2) | int -%}
with orders as (
    select source, count(*) as all_transactions
    from {{ ref("transactions") }}
    group by source
),

lines as (
    select distinct source, transaction_id, product_id
    from {{ ref("transaction_lines") }}
    where product_id is not null
),

products as (
    select source, product_id, count(*) as transactions
    from lines
    group by source, product_id
    -- A product with fewer can be in no pair.
    having count(*) >= {{ least }}
),

baskets as (
    select lines.source, lines.transaction_id, lines.product_id, products.transactions
    from lines
    inner join products on lines.source = products.source and lines.product_id = products.product_id
    inner join {{ ref("int_baskets") }} as sizes
        on lines.source = sizes.source and lines.transaction_id = sizes.transaction_id
    where not sizes.is_too_large
),

pairs as (
    select
        one.source,
        one.product_id,
        other.product_id as other_product_id,
        max(one.transactions) as transactions,
        max(other.transactions) as other_transactions,
        count(*) as together
    from baskets as one
    inner join baskets as other
        on one.source = other.source and one.transaction_id = other.transaction_id and one.product_id < other.product_id
    group by one.source, one.product_id, other.product_id
    having count(*) >= {{ least }}
),

both_ways as (
    select source, product_id, other_product_id, transactions, other_transactions, together from pairs
    union all
    select source, other_product_id, product_id, other_transactions, transactions, together from pairs
)

select
    pairs.source,
    pairs.product_id,
    pairs.other_product_id,
    pairs.together,
    pairs.transactions,
    pairs.other_transactions,
    cast(pairs.together as double) / orders.all_transactions as support,
    cast(pairs.together as double) / pairs.transactions as confidence,
    cast(pairs.together as double) * orders.all_transactions / (pairs.transactions * pairs.other_transactions) as lift
from both_ways as pairs
inner join orders on pairs.source = orders.source
