-- The same thing counted in two marts is the same number.
{{ config(fail_calc="coalesce(sum(abs(difference)), 0)") }}
with valued as (
    select max(case when has_values then 1 else 0 end) as is_valued from {{ ref("int_sources") }}
),

-- What is known of each total; where amounts may not be added up there is none to compare.
money as (
    select
        (select is_valued from valued) as is_valued,
        (select coalesce(sum(net_value), 0) from {{ ref("transactions") }}) as of_transactions,
        (select coalesce(sum(gross_value), 0) from {{ ref("transactions") }}) as gross,
        (select coalesce(sum(net_value), 0) from {{ ref("daily") }}) as of_days,
        (select coalesce(sum(net_value), 0) from {{ ref("daily_by") }} where dimension = 'source') as of_sources,
        (select coalesce(sum(net_value), 0) from {{ ref("users") }}) as of_users,
        (select coalesce(sum(net_value), 0) from {{ ref("sessions") }}) as of_sessions,
        (select coalesce(sum(revenue), 0) from {{ ref("transaction_lines") }}) as of_lines,
        (
            select coalesce(sum(revenue), 0) from {{ ref("transaction_lines") }} where product_id is not null
        ) as of_named_lines,
        (select coalesce(sum(revenue), 0) from {{ ref("products") }}) as of_products
),

differences as (
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
    {%- for what, one, other in [
        ("value of days", "of_transactions", "of_days"),
        ("value of sources", "of_transactions", "of_sources"),
        ("value of users", "of_transactions", "of_users"),
        ("value of sessions", "of_transactions", "of_sessions"),
        ("value of lines", "gross", "of_lines"),
        ("value of products", "of_named_lines", "of_products"),
    ] %}
    union all
    select '{{ what }}', {{ one }} - {{ other }} from money where is_valued = 1
    {%- endfor %}
)

select what, difference from differences where difference <> 0
