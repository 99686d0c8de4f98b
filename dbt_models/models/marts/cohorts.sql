{#- How many periods after its first a cohort is followed. -#}
{%- set lengths = {"day": 90, "week": 52, "month": 24} -%}
with as_of as (
    select {{ ecom_analytics.date_of("max(last_event_ts)") }} as today
    from {{ ref("int_event_days") }}
),

buyers as (
    select
        source,
        user_id,
        min(transaction_date) as first_date,
        max(transaction_date) as last_date
    from {{ ref("transactions") }}
    group by source, user_id
),

spans as (
    select 'first_visit' as kind, source, first_date, last_date, count(*) as users
    from {{ ref("users") }}
    group by source, first_date, last_date
    union all
    select 'first_purchase' as kind, source, first_date, last_date, count(*) as users
    from buyers
    group by source, first_date, last_date
),

purchases as (
    select
        buyers.source,
        buyers.first_date,
        transactions.transaction_date as date,
        lag(transactions.transaction_date) over (
            partition by transactions.source, transactions.user_id order by transactions.transaction_date
        ) as date_before
    from {{ ref("transactions") }} as transactions
    inner join buyers on transactions.source = buyers.source and transactions.user_id = buyers.user_id
),

-- How many came again on a day, and for how many it was the first day of its week or month.
activity as (
    select 'first_visit' as kind, source, first_date, date, days, weeks, months
    from {{ ref("int_activity") }}
    union all
    select
        'first_purchase' as kind,
        source,
        first_date,
        date,
        count(*) as days,
        count(case when {{ dbt.date_trunc("week", "date") }} > {{ dbt.date_trunc("week", "date_before") }} then 1 end)
            as weeks,
        count(case when {{ dbt.date_trunc("month", "date") }} > {{ dbt.date_trunc("month", "date_before") }} then 1 end)
            as months
    from purchases
    where date > date_before
    group by source, first_date, date
),

orders as (
    select
        'first_visit' as kind,
        orders.source,
        users.first_date,
        orders.transaction_date,
        orders.net_value
    from {{ ref("transactions") }} as orders
    inner join {{ ref("users") }} as users on orders.source = users.source and orders.user_id = users.user_id
    union all
    select
        'first_purchase' as kind,
        orders.source,
        buyers.first_date,
        orders.transaction_date,
        orders.net_value
    from {{ ref("transactions") }} as orders
    inner join buyers on orders.source = buyers.source and orders.user_id = buyers.user_id
),

{%- for grain, length in lengths.items() %}
{%- set cohort = "cast(" ~ dbt.date_trunc(grain, "first_date") ~ " as date)" %}

{{ grain }}_sizes as (
    select
        kind,
        source,
        {{ cohort }} as cohort,
        {{ dbt.datediff(
            dbt.date_trunc(grain, "first_date"), dbt.date_trunc(grain, "last_date"), grain
        ) }} as last_period,
        sum(users) as users
    from spans
    group by 1, 2, 3, 4
),

{{ grain }}_active as (
    select
        kind,
        source,
        {{ cohort }} as cohort,
        {{ dbt.datediff(dbt.date_trunc(grain, "first_date"), dbt.date_trunc(grain, "date"), grain) }} as period,
        sum({{ grain }}s) as active
    from activity
    group by 1, 2, 3, 4
),

{{ grain }}_orders as (
    select
        kind,
        source,
        {{ cohort }} as cohort,
        {{ dbt.datediff(
            dbt.date_trunc(grain, "first_date"), dbt.date_trunc(grain, "transaction_date"), grain
        ) }} as period,
        count(*) as transactions,
        sum(net_value) as net_value
    from orders
    group by 1, 2, 3, 4
),

{{ grain }}_cells as (
    select
        cohorts.kind,
        cohorts.source,
        '{{ grain }}' as grain,
        cohorts.cohort,
        periods.period,
        cohorts.users,
        cast({{ dbt.dateadd(grain, "periods.period", "cohorts.cohort") }} as date) as period_start,
        cast({{ dbt.dateadd(grain, "periods.period + 1", "cohorts.cohort") }} as date) as next_start
    from (
        select kind, source, cohort, sum(users) as users
        from {{ grain }}_sizes
        group by kind, source, cohort
    ) as cohorts
    inner join (
        select kind, source, min(cohort) as cohort from {{ grain }}_sizes group by kind, source
    ) as oldest on cohorts.kind = oldest.kind and cohorts.source = oldest.source
    cross join as_of
    -- As far as the oldest cohort was seen.
    inner join (
        select generated_number - 1 as period from ({{ dbt.generate_series(length + 1) }}) as numbers
    ) as periods
        on periods.period <= {{ dbt.datediff("oldest.cohort", dbt.date_trunc(grain, "as_of.today"), grain) }}
),

{{ grain }}_rows as (
    select
        cells.kind,
        cells.source,
        cells.grain,
        cells.cohort,
        cells.period,
        cells.period_start,
        cells.next_start,
        cells.users,
        case when cells.period = 0 then cells.users else coalesce(active.active, 0) end as active,
        sum(coalesce(lasts.users, 0)) over up_to_here - coalesce(lasts.users, 0) as gone_before,
        coalesce(orders.transactions, 0) as transactions,
        orders.net_value,
        sum(coalesce(orders.transactions, 0)) over up_to_here as transactions_to_date,
        sum(orders.net_value) over up_to_here as net_value_to_date
    from {{ grain }}_cells as cells
    left join {{ grain }}_active as active
        on
            cells.kind = active.kind
            and cells.source = active.source
            and cells.cohort = active.cohort
            and cells.period = active.period
    left join {{ grain }}_sizes as lasts
        on
            cells.kind = lasts.kind
            and cells.source = lasts.source
            and cells.cohort = lasts.cohort
            and cells.period = lasts.last_period
    left join {{ grain }}_orders as orders
        on
            cells.kind = orders.kind
            and cells.source = orders.source
            and cells.cohort = orders.cohort
            and cells.period = orders.period
    window up_to_here as (
        partition by cells.kind, cells.source, cells.cohort
        order by cells.period
        rows between unbounded preceding and current row
    )
),
{%- endfor %}

cells as (
    {%- for grain in lengths %}
    select * from {{ grain }}_rows
    {{ "union all" if not loop.last }}
    {%- endfor %}
)

select
    cells.source,
    cells.kind,
    cells.grain,
    cells.cohort,
    {{ ecom_analytics.whole("cells.period") }} as period,
    cells.period_start,
    as_of.today >= cells.next_start as is_complete,
    {{ ecom_analytics.whole("cells.users") }} as users,
    {%- for column, value in {
        "active": "cells.active",
        "active_on_or_after": "cells.users - cells.gone_before",
        "transactions": "cells.transactions",
    }.items() %}
    case when as_of.today >= cells.period_start then {{ ecom_analytics.whole(value) }} end as {{ column }},
    {%- endfor %}
    case
        when as_of.today >= cells.period_start
            then {{ ecom_analytics.money(
                ecom_analytics.total("cells.net_value", "cells.transactions", "sources.has_values")
            ) }}
    end as net_value,
    case
        when as_of.today >= cells.period_start
            then {{ ecom_analytics.money(ecom_analytics.total(
                "cells.net_value_to_date", "cells.transactions_to_date", "sources.has_values"
            )) }}
    end as net_value_to_date
from cells
cross join as_of
left join {{ ref("int_sources") }} as sources on cells.source = sources.source
