{#- 1 to 5 by the share of customers that come before in an order: from .2, .4, .6 and .8 on it is one more. Counted
    in whole numbers, so that it is exact. Equal values have equal ranks, and so equal scores. -#}
with as_of as (
    select {{ ecom_analytics.date_of("max(last_event_ts)") }} as today
    from {{ ref("int_event_days") }}
),

orders as (
    select
        source,
        user_id,
        count(*) as frequency,
        sum(net_value) as net_value,
        count(distinct transaction_date) as purchase_days,
        min(transaction_date) as first_date,
        min(case when customer_sequence = 2 then transaction_date end) as second_date,
        max(transaction_date) as last_date
    from {{ ref("transactions") }}
    group by source, user_id
),

customers as (
    select
        orders.*,
        {{ dbt.datediff("orders.last_date", "as_of.today", "day") }} as recency_days,
        {{ dbt.datediff("orders.first_date", "orders.last_date", "day") }} as active_days,
        {{ dbt.datediff("orders.first_date", "orders.second_date", "day") }} as days_to_second,
        {{ dbt.datediff("orders.first_date", "as_of.today", "day") }} as age_days,
        {{ ecom_analytics.money(
            ecom_analytics.total("orders.net_value", "orders.frequency", "sources.has_values")
        ) }} as monetary
    from orders
    left join {{ ref("int_sources") }} as sources on orders.source = sources.source
    cross join as_of
),

ranked as (
    select
        *,
        count(*) over (partition by source) - 1 as others,
        rank() over (partition by source order by recency_days desc) - 1 as r_rank,
        rank() over (partition by source order by frequency) - 1 as f_rank,
        rank() over (partition by source order by monetary nulls first) - 1 as m_rank
    from customers
),

scored as (
    select
        *,
        {%- for score in ["r", "f", "m"] %}
        case
            {%- if score == "m" %}
            when monetary is null then null
            {%- endif %}
            when others = 0 then 1
            else
                1
                {%- for fifth in [1, 2, 3, 4] %}
                + case when 5 * {{ score }}_rank >= {{ fifth }} * others then 1 else 0 end
                {%- endfor %}
        end as {{ score }}{{ "," if not loop.last }}
        {%- endfor %}
    from ranked
),

summed as (
    -- Frequency and value together: their mean, rounded up at a half; frequency alone without prices.
    select
        *,
        case
            when m is null then f
            when f + m > 8 then 5
            when f + m > 6 then 4
            when f + m > 4 then 3
            when f + m > 2 then 2
            else 1
        end as fm
    from scored
)

select
    customers.source,
    customers.user_id,
    customers.first_date as first_transaction_date,
    customers.last_date as last_transaction_date,
    {{ ecom_analytics.whole("customers.recency_days") }} as recency_days,
    customers.frequency,
    customers.monetary,
    {{ ecom_analytics.whole("customers.r") }} as r,
    {{ ecom_analytics.whole("customers.f") }} as f,
    {{ ecom_analytics.whole("customers.m") }} as m,
    segments.segment,
    customers.purchase_days,
    {{ ecom_analytics.whole("customers.active_days") }} as active_days,
    {{ ecom_analytics.whole("customers.days_to_second") }} as days_to_second,
    {{ ecom_analytics.whole("customers.age_days") }} as age_days
from summed as customers
left join {{ ref("rfm_segments") }} as segments
    on
        customers.r >= segments.r_from
        and customers.r <= segments.r_to
        and customers.fm >= segments.fm_from
        and customers.fm <= segments.fm_to
