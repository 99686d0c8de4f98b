-- Days with an event that went or came.
select distinct event_date from {{ ref("int_changes") }}
