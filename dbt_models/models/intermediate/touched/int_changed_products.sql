-- Products that an event names that went or came, and whether one that went says what category or brand it is.
select
    source,
    product_id,
    max(case when change < 0 and (category is not null or brand is not null) then 1 else 0 end) = 1
        as has_lost_attribute
from {{ ref("int_changes") }}
where product_id is not null
group by source, product_id
