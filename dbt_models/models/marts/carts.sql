{{ config(
    materialized="incremental", incremental_strategy="replace_touched",
    meta={"touched": "int_touched_carts", "key": ["source", "visitor_id"], "whole_with": ["sources"]}
) }}
{%- set touched = ref("int_touched_carts") -%}
{%- set partial = ecom_analytics.replaces_touched(["sources"]) -%}
{%- set visitor = ["source", "visitor_id"] -%}
{%- set idle = (var("cart_idle_days", 7) | float * 86400000000) | round | int -%}
{#- At one moment, things are put in, then taken out, then bought. -#}
{%- set in_order -%} order by event_ts, rank, product_id nulls first, transaction_id nulls first {%- endset -%}
{%- set of_stretch -%} partition by source, visitor_id, stretch {{ in_order }} {%- endset -%}
{%- set of_product -%} partition by source, visitor_id, stretch, product_id {{ in_order }} {%- endset -%}
{%- set so_far -%} rows between unbounded preceding and current row {%- endset -%}
with purchases as (
    select
        source,
        visitor_id,
        transaction_id,
        min(event_ts) as event_ts,
        min_by(session_id, {{ ecom_analytics.pack(["event_ts", "session_id"]) }}) as session_id
    from {{ ref("int_order_events") }} as events
    where
        event_type = 'purchase'
        {{ "and " ~ ecom_analytics.is_touched("events", touched, visitor) if partial }}
    group by source, visitor_id, transaction_id
),

moves as (
    select
        source,
        visitor_id,
        session_id,
        event_date,
        event_ts,
        case when event_type = 'add_to_cart' then 1 else 2 end as rank,
        product_id,
        cast(null as {{ dbt.type_string() }}) as transaction_id,
        case when event_type = 'add_to_cart' then quantity else -quantity end as quantity,
        unit_price,
        currency,
        events
    from {{ ref("int_cart_events") }} as events
    where {{ ecom_analytics.is_touched("events", touched, visitor) if partial else "true" }}
    union all
    select
        source,
        visitor_id,
        session_id,
        cast(null as date) as event_date,
        event_ts,
        3 as rank,
        cast(null as {{ dbt.type_string() }}) as product_id,
        transaction_id,
        0 as quantity,
        cast(null as {{ ecom_analytics.type_money() }}) as unit_price,
        cast(null as {{ dbt.type_string() }}) as currency,
        0 as events
    from purchases
),

compared as (
    select
        *,
        case
            when lag(rank) over (partition by source, visitor_id {{ in_order }}) < 3
                and {{ ecom_analytics.epoch_microseconds("event_ts") }}
                - lag({{ ecom_analytics.epoch_microseconds("event_ts") }}) over (
                    partition by source, visitor_id {{ in_order }}
                ) <= {{ idle }}
                then 0
            else 1
        end as is_first
    from moves
),

-- A stretch of moves ends with a purchase, or when nothing is moved for too long.
stretches as (
    select *, sum(is_first) over (partition by source, visitor_id {{ in_order }} {{ so_far }}) as stretch
    from compared
),

added_up as (
    select *, sum(quantity) over ({{ of_product }} {{ so_far }}) as sum_so_far
    from stretches
),

-- What is taken out that is not in it counts for nothing: what is in it is the sum, less the lowest that it was
-- below 0.
balanced as (
    select *, sum_so_far - least(0, min(sum_so_far) over ({{ of_product }} {{ so_far }})) as in_cart
    from added_up
),

changed as (
    select *, in_cart - coalesce(lag(in_cart) over ({{ of_product }}), 0) as change
    from balanced
),

filled as (
    select *, sum(change) over ({{ of_stretch }} {{ so_far }}) as all_in_cart
    from changed
),

-- When the last thing is taken out the cart has ended; what follows is another.
emptied as (
    select
        *,
        case when rank = 2 and change < 0 and all_in_cart = 0 then 1 else 0 end as is_emptied
    from filled
),

numbered as (
    select *, sum(is_emptied) over ({{ of_stretch }} {{ so_far }}) - is_emptied as cart
    from emptied
),

-- What was taken out before the first thing was put in is no move of the cart.
opened as (
    select *
    from (
        select
            *,
            max(case when rank = 1 then 1 else 0 end) over (
                partition by source, visitor_id, stretch, cart {{ in_order }} {{ so_far }}
            ) as is_open
        from numbered
    ) as numbered_moves
    where is_open = 1
),

last_stretches as (
    select source, visitor_id, max(stretch) as stretch from stretches group by source, visitor_id
),

items as (
    select
        source,
        visitor_id,
        stretch,
        cart,
        product_id,
        max_by(in_cart, {{ ecom_analytics.pack(["event_ts", "rank"]) }}) as quantity,
        max_by(unit_price, {{ ecom_analytics.pack(["event_ts", "rank"]) }})
            filter (where unit_price is not null) as unit_price,
        max(currency) as currency
    from opened
    where rank < 3
    group by source, visitor_id, stretch, cart, product_id
),

bought as (
    select distinct source, visitor_id, transaction_id, product_id
    from {{ ref("int_order_events") }}
    where event_type = 'purchase'
),

carts as (
    select
        source,
        visitor_id,
        stretch,
        cart,
        min(case when rank = 1 then event_ts end) as opened_at,
        min(case when rank = 1 then event_date end) as opened_date,
        min_by(session_id, {{ ecom_analytics.pack(["event_ts", "rank"]) }}) filter (where rank = 1) as opened_session_id,
        max(case when rank < 3 then event_ts end) as last_activity_at,
        max_by(session_id, {{ ecom_analytics.pack(["event_ts", "rank"]) }}) filter (where rank < 3) as last_session_id,
        max(case when rank = 3 then event_ts end) as bought_at,
        max(case when rank = 3 then transaction_id end) as transaction_id,
        max(case when rank = 3 then session_id end) as bought_session_id,
        max(is_emptied) = 1 as is_emptied,
        count(distinct case when rank < 3 then session_id end) as sessions,
        sum(case when rank = 1 then events else 0 end) as adds,
        sum(case when rank = 2 then events else 0 end) as removes
    from opened
    group by source, visitor_id, stretch, cart
),

contents as (
    select
        carts.source,
        carts.visitor_id,
        carts.stretch,
        carts.cart,
        count(case when items.quantity > 0 then 1 end) as items,
        count(case when items.quantity > 0 and bought.transaction_id is not null then 1 end) as items_bought,
        sum(items.quantity) as quantity,
        sum({{ ecom_analytics.try_money("items.quantity * items.unit_price") }}) as value,
        min(items.currency) as currency
    from carts
    inner join items
        on
            carts.source = items.source
            and carts.visitor_id = items.visitor_id
            and carts.stretch = items.stretch
            and carts.cart = items.cart
    left join bought
        on
            carts.source = bought.source
            and carts.visitor_id = bought.visitor_id
            and carts.transaction_id = bought.transaction_id
            and items.product_id = bought.product_id
    group by carts.source, carts.visitor_id, carts.stretch, carts.cart
),

as_of as (
    select max(last_event_ts) as moment from {{ ref("int_event_days") }}
),

ended as (
    select
        carts.*,
        case
            when carts.is_emptied then 'emptied'
            when carts.bought_at is not null and carts.bought_session_id <> carts.last_session_id then 'recovered'
            when carts.bought_at is not null then 'purchased'
            when
                carts.stretch < last_stretches.stretch
                or {{ ecom_analytics.epoch_microseconds("as_of.moment") }}
                - {{ ecom_analytics.epoch_microseconds("carts.last_activity_at") }} > {{ idle }}
                then 'abandoned'
            else 'open'
        end as status
    from carts
    inner join last_stretches
        on carts.source = last_stretches.source and carts.visitor_id = last_stretches.visitor_id
    cross join as_of
)

select
    carts.source,
    carts.visitor_id,
    {{ ecom_analytics.whole(
        "row_number() over (partition by carts.source, carts.visitor_id order by carts.stretch, carts.cart)"
    ) }} as cart_number,
    coalesce(logins.user_id, carts.visitor_id) as user_id,
    carts.status,
    carts.opened_at,
    carts.opened_date,
    carts.opened_session_id,
    carts.last_activity_at,
    case carts.status
        when 'open' then null
        when 'emptied' then carts.last_activity_at
        when 'abandoned' then {{ ecom_analytics.later("carts.last_activity_at", idle) }}
        else carts.bought_at
    end as closed_at,
    carts.transaction_id,
    carts.sessions,
    {{ ecom_analytics.whole("carts.adds") }} as adds,
    {{ ecom_analytics.whole("carts.removes") }} as removes,
    contents.items,
    case when carts.bought_at is not null then contents.items_bought end as items_bought,
    {{ ecom_analytics.money("contents.quantity") }} as quantity,
    case when sources.has_values then {{ ecom_analytics.money("contents.value") }} end as value,
    contents.currency,
    bots.visitor_id is not null as is_bot
from ended as carts
inner join contents
    on
        carts.source = contents.source
        and carts.visitor_id = contents.visitor_id
        and carts.stretch = contents.stretch
        and carts.cart = contents.cart
left join {{ ref("int_visitor_logins") }} as logins
    on carts.source = logins.source and carts.visitor_id = logins.visitor_id
left join {{ ref("bots") }} as bots on carts.source = bots.source and carts.visitor_id = bots.visitor_id
left join {{ ref("int_sources") }} as sources on carts.source = sources.source
