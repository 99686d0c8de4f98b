-- Visitors with an event that went or came and says who they are.
select source, visitor_id from {{ ref("int_changed_visitors") }} where has_login
