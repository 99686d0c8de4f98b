{{ config(meta={"kept": true}) }}
-- What each source knows: quantities, and values that may be added up (all data is in one currency).
with capable as (
    select source, sum(unit_price) > 0 as has_prices, sum(quantity) > 0 as has_quantities
    from {{ ref("int_event_days") }}
    group by source
),

-- A line without a currency is in its source's currency.
currencies as (
    select coalesce(currency, max(currency) over (partition by source), '') as currency
    from {{ ref("int_order_events") }}
    where line_number is not null and revenue is not null
)

select
    capable.source,
    capable.has_quantities,
    capable.has_prices and (select count(distinct currency) <= 1 from currencies) as has_values
from capable
