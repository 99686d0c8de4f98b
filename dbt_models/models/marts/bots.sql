with suspects as (
    select distinct source, visitor_id
    from {{ ref("sessions") }}
    where is_bot
),

{{ ecom_analytics.bots_among_suspects() }}

select
    bots.source,
    bots.visitor_id,
    coalesce(logins.user_id, bots.visitor_id) as user_id,
    bots.rules,
    bots.events_in_minute,
    bots.events_in_day,
    bots.longest_run_seconds
from bots
left join {{ ref("int_visitor_logins") }} as logins
    on bots.source = logins.source and bots.visitor_id = logins.visitor_id
