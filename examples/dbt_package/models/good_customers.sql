-- Who has bought often enough.
select
    source,
    user_id,
    transactions,
    net_value
from {{ ref("ecom_analytics", "users") }}
where transactions >= {{ var("good_customer_transactions") }}
