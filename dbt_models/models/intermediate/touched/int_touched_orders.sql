-- Transactions with a purchase or a refund that went or came.
select distinct source, coalesce(transaction_id, session_id) as transaction_id
from {{ ref("int_changes") }}
where event_type in ('purchase', 'refund') and (event_type = 'purchase' or transaction_id is not null)
