-- The same thing counted in two marts is the same number.
{{ config(fail_calc="coalesce(sum(abs(difference)), 0)") }}
with differences as (
    select
        'sessions of users' as what,
        (select count(*) from {{ ref("sessions") }}) - (select coalesce(sum(sessions), 0) from {{ ref("users") }}) as difference
    union all
    select
        'views of users',
        (select coalesce(sum(views), 0) from {{ ref("sessions") }}) - (select coalesce(sum(views), 0) from {{ ref("users") }})
    union all
    select
        'sessions of days',
        (select count(*) from {{ ref("sessions") }}) - (select coalesce(sum(sessions), 0) from {{ ref("daily") }})
    union all
    select
        'events of days',
        (select coalesce(sum(events), 0) from {{ ref("sessions") }}) - (select coalesce(sum(events), 0) from {{ ref("daily") }})
    union all
    select
        'transactions of days',
        (select count(*) from {{ ref("transactions") }}) - (select coalesce(sum(transactions), 0) from {{ ref("daily") }})
    union all
    select
        'transactions of users',
        (select count(*) from {{ ref("transactions") }}) - (select coalesce(sum(transactions), 0) from {{ ref("users") }})
    union all
    select
        'transactions of sessions',
        (select count(*) from {{ ref("transactions") }}) - (select coalesce(sum(transactions), 0) from {{ ref("sessions") }})
    union all
    select
        'lines of transactions',
        (select count(*) from {{ ref("transaction_lines") }}) - (select coalesce(sum(lines), 0) from {{ ref("transactions") }})
)

select what, difference from differences where difference <> 0
