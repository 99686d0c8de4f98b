-- Visitors with an event that went or came, and whether one of these says who they are.
select source, visitor_id, max(case when user_id is not null then 1 else 0 end) = 1 as has_login
from {{ ref("int_changes") }}
group by source, visitor_id
