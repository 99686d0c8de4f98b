-- How often the visits of each day of the week end in a transaction.
select
    dayname(session_date) as weekday,
    count(*) as sessions,
    count(*) filter (transactions > 0) as converting_sessions,
    cast(count(*) filter (transactions > 0) as double) / count(*) as conversion_rate
from {{ ref("sessions") }}
group by weekday
