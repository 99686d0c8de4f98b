-- The rows of staged events that went (change is -1) and came (1) since the build that this one starts from.
select * from {{ ref("stg_changes") }}
