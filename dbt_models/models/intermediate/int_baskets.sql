-- Transactions with several products, and whether they have so many that their pairs are left out.
select
    source,
    transaction_id,
    count(distinct product_id) as products,
    count(distinct product_id) > {{ var("affinity_max_products", 200) | int }} as is_too_large
from {{ ref("transaction_lines") }}
where product_id is not null
group by source, transaction_id
having count(distinct product_id) > 1
