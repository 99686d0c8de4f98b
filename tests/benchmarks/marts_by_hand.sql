-- Yardstick: the marts of events in RetailRocket's format, by hand in DuckDB's SQL: one full load, with the default
-- settings. What such events cannot tell (prices, where visits come from, logins, a catalogue) is NULL without looking,
-- and there are no tests, contracts, increments or publication. `events` is a view of the staged files.

CREATE TABLE order_events AS
WITH numbered AS (
    SELECT *,
        first_value(visitor_id) OVER by_time AS first_visitor_id,
        first_value(event_ts) OVER by_time AS first_event_ts,
        first_value(batch_id) OVER by_time AS first_batch_id,
        first_value(source_line) OVER by_time AS first_source_line,
        row_number() OVER (
            PARTITION BY source, transaction_id, visitor_id, product_id ORDER BY event_ts, batch_id, source_line
        ) AS occurrence
    FROM (
        SELECT source, transaction_id, event_ts, event_date, visitor_id, session_start, product_id, batch_id, source_line,
            md5(source || '|' || visitor_id || '|' || epoch_us(session_start)::VARCHAR) AS session_id
        FROM events
        WHERE event_type = 'purchase' AND transaction_id IS NOT NULL
    )
    WINDOW by_time AS (
        PARTITION BY source, transaction_id ORDER BY event_ts, visitor_id, product_id NULLS LAST, batch_id, source_line
    )
)
SELECT *, visitor_id = first_visitor_id AND occurrence = 1 AS is_counted,
    CASE WHEN visitor_id = first_visitor_id AND occurrence = 1 THEN row_number() OVER (
        PARTITION BY source, transaction_id, visitor_id = first_visitor_id AND occurrence = 1
        ORDER BY event_ts, visitor_id, product_id NULLS LAST, batch_id, source_line
    ) END AS line_number
FROM numbered;

CREATE TABLE conflicts AS
SELECT source, transaction_id,
    CASE WHEN visitor_id <> first_visitor_id THEN 'several_visitors' ELSE 'far_apart' END AS kind,
    format(
        'transaction {} is of visitor {} at {} ({}, line {}); {} {} used the id at {}{}', transaction_id, first_visitor_id,
        first_event_ts, first_batch_id, first_source_line,
        CASE WHEN visitor_id <> first_visitor_id THEN 'visitor' ELSE 'the same visitor' END, visitor_id, event_ts,
        CASE WHEN is_counted THEN ', counted as a line of it' ELSE ', left out' END
    ) AS message,
    source_line AS line, batch_id, visitor_id, event_ts
FROM order_events
WHERE visitor_id <> first_visitor_id OR event_ts - first_event_ts > INTERVAL 60 MINUTE;

CREATE TABLE transactions AS
SELECT source, transaction_id, min(event_ts) AS transaction_ts, min(event_date) AS transaction_date,
    arg_min(visitor_id, line_number) AS user_id, arg_min(visitor_id, line_number) AS visitor_id,
    arg_min(session_id, line_number) AS session_id, count(*) AS lines, NULL::DECIMAL(18, 4) AS quantity,
    NULL::DECIMAL(18, 4) AS gross_value, NULL::DECIMAL(18, 4) AS refunds, NULL::DECIMAL(18, 4) AS net_value,
    NULL::VARCHAR AS currency,
    row_number() OVER (
        PARTITION BY source, arg_min(visitor_id, line_number) ORDER BY min(event_ts), transaction_id
    ) AS customer_sequence
FROM order_events
WHERE is_counted
GROUP BY source, transaction_id;

CREATE TABLE transaction_lines AS
SELECT source, transaction_id, line_number, product_id, NULL::VARCHAR AS category, NULL::VARCHAR AS brand,
    NULL::BOOLEAN AS available, NULL::DECIMAL(18, 4) AS quantity, NULL::DECIMAL(18, 4) AS unit_price,
    NULL::DECIMAL(18, 4) AS revenue, NULL::VARCHAR AS currency, event_ts, event_date, batch_id, source_line
FROM order_events
WHERE is_counted;

CREATE TABLE bots AS
WITH suspects AS (
    SELECT source, visitor_id FROM events GROUP BY source, visitor_id HAVING count(*) >= 61
),
moments AS (
    SELECT source, visitor_id, event_date, moment, sum(events) AS events
    FROM (
        SELECT source, visitor_id, event_date, epoch_us(event_ts) AS moment,
            CASE WHEN transaction_id IS NOT NULL THEN 1 ELSE count(*) END AS events
        FROM events SEMI JOIN suspects USING (source, visitor_id)
        GROUP BY source, visitor_id, event_date, event_ts, event_type, transaction_id
    )
    GROUP BY ALL
),
measured AS (
    SELECT *,
        sum(events) OVER (in_order RANGE BETWEEN 59999999 PRECEDING AND CURRENT ROW) AS in_minute,
        sum(events) OVER (PARTITION BY source, visitor_id, event_date) AS in_day,
        coalesce(moment - lag(moment) OVER in_order <= 300000000, false) AS goes_on
    FROM moments
    WINDOW in_order AS (PARTITION BY source, visitor_id ORDER BY moment)
),
runs AS (
    SELECT *, moment - max(CASE WHEN NOT goes_on THEN moment END) OVER (
        PARTITION BY source, visitor_id ORDER BY moment ROWS UNBOUNDED PRECEDING
    ) AS run
    FROM measured
)
SELECT source, visitor_id, visitor_id AS user_id,
    concat_ws(
        ', ', CASE WHEN max(in_minute) > 60 THEN 'rate' END, CASE WHEN max(in_day) > 2000 THEN 'volume' END,
        CASE WHEN max(run) >= 43200000000 THEN 'no_pause' END
    ) AS rules,
    max(in_minute)::BIGINT AS events_in_minute, max(in_day)::BIGINT AS events_in_day,
    max(run) // 1000000 AS longest_run_seconds
FROM runs
GROUP BY source, visitor_id
HAVING max(in_minute) > 60 OR max(in_day) > 2000 OR max(run) >= 43200000000;

CREATE TABLE sessions AS
WITH grouped AS (
    SELECT source, visitor_id, session_start, max(event_ts) AS session_end, min(event_date) AS session_date,
        max(event_date) AS session_end_date, count(*) AS events, count(*) FILTER (event_type = 'view') AS views,
        count(*) FILTER (event_type = 'add_to_cart') AS add_to_carts,
        count(*) FILTER (event_type = 'checkout') AS checkouts, count(*) FILTER (event_type = 'purchase') AS purchases
    FROM events
    GROUP BY source, visitor_id, session_start
),
named AS (
    SELECT md5(source || '|' || visitor_id || '|' || epoch_us(session_start)::VARCHAR) AS session_id, * FROM grouped
),
orders AS (
    SELECT source, session_id, count(*) AS transactions FROM transactions GROUP BY source, session_id
)
SELECT source, session_id, visitor_id, visitor_id AS user_id, session_start, session_end, session_date, session_end_date,
    events, views, add_to_carts, checkouts, purchases, coalesce(transactions, 0) AS transactions,
    NULL::DECIMAL(18, 4) AS net_value, NULL::VARCHAR AS traffic_source, NULL::VARCHAR AS medium,
    NULL::VARCHAR AS campaign, NULL::VARCHAR AS device, NULL::VARCHAR AS country, bots.rules IS NOT NULL AS is_bot
FROM named
LEFT JOIN orders USING (source, session_id)
LEFT JOIN bots USING (source, visitor_id);

CREATE TABLE users AS
WITH visits AS (
    SELECT source, user_id, min(session_start) AS first_seen, max(session_end) AS last_seen,
        min(session_date) AS first_date, max(session_date) AS last_date, count(*) AS sessions,
        sum(views)::BIGINT AS views, sum(add_to_carts)::BIGINT AS add_to_carts,
        sum(transactions)::BIGINT AS transactions
    FROM sessions
    GROUP BY source, user_id
)
SELECT visits.*, NULL::DECIMAL(18, 4) AS quantity, NULL::DECIMAL(18, 4) AS net_value, bots.rules IS NOT NULL AS is_bot,
    bots.rules AS bot_rules
FROM visits
LEFT JOIN bots USING (source, user_id);

CREATE TABLE products AS
WITH viewed AS (
    SELECT source, product_id, count(*) AS events, count(*) FILTER (event_type = 'view') AS views,
        count(*) FILTER (event_type = 'add_to_cart') AS add_to_carts,
        count(*) FILTER (event_type = 'purchase') AS purchases,
        count(DISTINCT visitor_id) FILTER (event_type = 'view') AS viewers
    FROM events
    WHERE product_id IS NOT NULL
    GROUP BY source, product_id
),
bought AS (
    SELECT source, product_id, count(DISTINCT visitor_id) AS buyers FROM order_events GROUP BY source, product_id
)
SELECT source, product_id, NULL::VARCHAR AS name, NULL::VARCHAR AS category, NULL::VARCHAR AS category_path,
    NULL::VARCHAR AS brand, NULL::DECIMAL(18, 4) AS list_price, NULL::VARCHAR AS list_currency,
    NULL::BOOLEAN AS available, events, views, add_to_carts, purchases, NULL::DECIMAL(18, 4) AS quantity,
    NULL::DECIMAL(18, 4) AS revenue, viewers, coalesce(buyers, 0) AS buyers
FROM viewed LEFT JOIN bought USING (source, product_id);

CREATE TABLE carts AS
WITH moves AS (
    SELECT source, visitor_id, event_ts, CASE event_type WHEN 'add_to_cart' THEN 1 ELSE 2 END AS rank, product_id,
        NULL AS transaction_id, session_start, min(event_date) AS event_date,
        CASE event_type WHEN 'add_to_cart' THEN 1 ELSE -1 END * count(*) AS quantity, count(*) AS events
    FROM events
    WHERE event_type IN ('add_to_cart', 'remove_from_cart')
    GROUP BY source, visitor_id, event_ts, event_type, product_id, session_start
    UNION ALL
    SELECT source, visitor_id, min(event_ts), 3, NULL, transaction_id, arg_min(session_start, event_ts), NULL, 0, 0
    FROM order_events
    GROUP BY source, visitor_id, transaction_id
),
compared AS (
    SELECT *, CASE WHEN lag(rank) OVER w < 3 AND event_ts - lag(event_ts) OVER w <= INTERVAL 168 HOUR
        THEN 0 ELSE 1 END AS is_first
    FROM moves
    WINDOW w AS (PARTITION BY source, visitor_id ORDER BY event_ts, rank, product_id NULLS FIRST, transaction_id)
),
stretches AS (
    SELECT *, sum(is_first) OVER (
        PARTITION BY source, visitor_id ORDER BY event_ts, rank, product_id NULLS FIRST, transaction_id
        ROWS UNBOUNDED PRECEDING
    )::INT AS stretch
    FROM compared
),
added_up AS (
    SELECT *, sum(quantity) OVER (
        PARTITION BY source, visitor_id, stretch, product_id ORDER BY event_ts, rank ROWS UNBOUNDED PRECEDING
    ) AS so_far
    FROM stretches
),
balanced AS (
    SELECT *, so_far - least(0, min(so_far) OVER (
        PARTITION BY source, visitor_id, stretch, product_id ORDER BY event_ts, rank ROWS UNBOUNDED PRECEDING
    )) AS in_cart
    FROM added_up
),
changed AS (
    SELECT *, in_cart - coalesce(lag(in_cart) OVER (
        PARTITION BY source, visitor_id, stretch, product_id ORDER BY event_ts, rank
    ), 0) AS change
    FROM balanced
),
emptied AS (
    SELECT *, CASE WHEN rank = 2 AND change < 0 AND sum(change) OVER (
        PARTITION BY source, visitor_id, stretch ORDER BY event_ts, rank, product_id NULLS FIRST, transaction_id
        ROWS UNBOUNDED PRECEDING
    ) = 0 THEN 1 ELSE 0 END AS is_emptied
    FROM changed
),
numbered AS MATERIALIZED (
    SELECT *, (sum(is_emptied) OVER (
        PARTITION BY source, visitor_id, stretch ORDER BY event_ts, rank, product_id NULLS FIRST, transaction_id
        ROWS UNBOUNDED PRECEDING
    ) - is_emptied)::INT AS cart
    FROM emptied
),
opened AS MATERIALIZED (
    SELECT * FROM numbered
    QUALIFY max(rank = 1) OVER (
        PARTITION BY source, visitor_id, stretch, cart ORDER BY event_ts, rank, product_id NULLS FIRST, transaction_id
        ROWS UNBOUNDED PRECEDING
    )
),
lasts AS (
    SELECT source, visitor_id, max(stretch) AS last_stretch FROM numbered GROUP BY source, visitor_id
),
grouped AS (
    SELECT source, visitor_id, stretch, cart, min(event_ts) FILTER (rank = 1) AS opened_at,
        min(event_date) FILTER (rank = 1) AS opened_date,
        arg_min(session_start, event_ts) FILTER (rank = 1) AS opened_session,
        max(event_ts) FILTER (rank < 3) AS last_activity_at,
        arg_max(session_start, event_ts) FILTER (rank < 3) AS last_session,
        max(event_ts) FILTER (rank = 3) AS bought_at, max(transaction_id) FILTER (rank = 3) AS transaction_id,
        max(session_start) FILTER (rank = 3) AS bought_session, max(is_emptied) = 1 AS is_emptied,
        count(DISTINCT session_start) FILTER (rank < 3) AS sessions,
        coalesce(sum(events) FILTER (rank = 1), 0)::BIGINT AS adds,
        coalesce(sum(events) FILTER (rank = 2), 0)::BIGINT AS removes
    FROM opened
    GROUP BY source, visitor_id, stretch, cart
),
contents AS (
    SELECT source, visitor_id, stretch, cart, count(*) FILTER (quantity > 0) AS items,
        list(product_id) FILTER (quantity > 0) AS products
    FROM (
        SELECT source, visitor_id, stretch, cart, product_id,
            arg_max(in_cart, {'a': event_ts, 'b': rank}) AS quantity
        FROM opened WHERE rank < 3
        GROUP BY source, visitor_id, stretch, cart, product_id
    )
    GROUP BY source, visitor_id, stretch, cart
),
bought AS (
    SELECT source, visitor_id, transaction_id, list(DISTINCT product_id) AS bought
    FROM order_events GROUP BY source, visitor_id, transaction_id
)
SELECT source, visitor_id, row_number() OVER (PARTITION BY source, visitor_id ORDER BY stretch, cart) AS cart_number,
    visitor_id AS user_id,
    CASE
        WHEN is_emptied THEN 'emptied'
        WHEN bought_session <> last_session THEN 'recovered'
        WHEN bought_at IS NOT NULL THEN 'purchased'
        WHEN stretch < last_stretch OR as_of - last_activity_at > INTERVAL 168 HOUR THEN 'abandoned'
        ELSE 'open'
    END AS status,
    opened_at, opened_date,
    md5(source || '|' || visitor_id || '|' || epoch_us(opened_session)::VARCHAR) AS opened_session_id, last_activity_at,
    CASE status
        WHEN 'open' THEN NULL WHEN 'emptied' THEN last_activity_at
        WHEN 'abandoned' THEN last_activity_at + INTERVAL 168 HOUR ELSE bought_at
    END AS closed_at,
    transaction_id, sessions, adds, removes, items,
    CASE WHEN bought_at IS NOT NULL THEN len(list_intersect(coalesce(products, []), bought)) END AS items_bought,
    NULL::DECIMAL(18, 4) AS value, NULL::VARCHAR AS currency, bots.rules IS NOT NULL AS is_bot
FROM grouped
JOIN lasts USING (source, visitor_id)
JOIN contents USING (source, visitor_id, stretch, cart)
LEFT JOIN bought USING (source, visitor_id, transaction_id)
LEFT JOIN bots USING (source, visitor_id)
CROSS JOIN (SELECT max(session_end) AS as_of FROM sessions);

CREATE TABLE funnel AS
WITH movers AS (
    SELECT DISTINCT source, visitor_id FROM sessions WHERE add_to_carts + checkouts + purchases > 0
),
moments AS (
    SELECT source, visitor_id, session_start, event_ts,
        CASE event_type
            WHEN 'view' THEN 1 WHEN 'add_to_cart' THEN 2 WHEN 'checkout' THEN 3 WHEN 'purchase' THEN 4 ELSE 5
        END AS rank,
        CASE WHEN rank < 5 THEN event_type ELSE 'other' END AS step, count(*) AS events
    FROM events SEMI JOIN movers USING (source, visitor_id)
    GROUP BY ALL
),
compared AS (
    SELECT *, CASE WHEN step = lag(step) OVER w AND session_start = lag(session_start) OVER w THEN 0 ELSE 1 END AS is_first
    FROM moments
    WINDOW w AS (PARTITION BY source, visitor_id ORDER BY event_ts, rank)
),
numbered AS (
    SELECT *, sum(is_first) OVER (
        PARTITION BY source, visitor_id ORDER BY event_ts, rank ROWS UNBOUNDED PRECEDING
    )::BIGINT AS run_number
    FROM compared
),
runs AS (
    SELECT source, visitor_id, run_number, session_start, step, min(event_ts) AS first_ts, max(event_ts) AS last_ts,
        sum(events)::BIGINT AS events
    FROM numbered
    GROUP BY source, visitor_id, run_number, session_start, step
)
SELECT source, visitor_id, run_number,
    md5(source || '|' || visitor_id || '|' || epoch_us(session_start)::VARCHAR) AS session_id,
    (session_start AT TIME ZONE 'UTC')::DATE AS session_date, step, first_ts, last_ts, events,
    bots.rules IS NOT NULL AS is_bot
FROM runs LEFT JOIN bots USING (source, visitor_id);

CREATE TABLE daily_products AS
SELECT moves.date, moves.source, moves.product_id, events, views, add_to_carts, purchases, coalesce(lines, 0) AS lines,
    NULL::DECIMAL(18, 4) AS quantity, NULL::DECIMAL(18, 4) AS revenue
FROM (
    SELECT event_date AS date, source, product_id, count(*) AS events, count(*) FILTER (event_type = 'view') AS views,
        count(*) FILTER (event_type = 'add_to_cart') AS add_to_carts,
        count(*) FILTER (event_type = 'purchase') AS purchases
    FROM events
    WHERE product_id IS NOT NULL
    GROUP BY ALL
) AS moves
LEFT JOIN (
    SELECT event_date AS date, source, product_id, count(*) AS lines
    FROM transaction_lines
    WHERE product_id IS NOT NULL
    GROUP BY ALL
) AS sold ON sold.date = moves.date AND sold.source = moves.source AND sold.product_id = moves.product_id;

CREATE TABLE daily_visitors AS
SELECT date, source, is_bot, date_before, count(*) AS visitors
FROM (
    SELECT source, is_bot, date, lag(date) OVER (PARTITION BY source, visitor_id ORDER BY date) AS date_before
    FROM (
        SELECT DISTINCT source, visitor_id, is_bot,
            unnest(generate_series(session_date, session_end_date, INTERVAL 1 DAY))::DATE AS date
        FROM sessions
    )
)
GROUP BY ALL;

CREATE TABLE daily_by AS
WITH late AS (
    SELECT DISTINCT event_date AS date, source, visitor_id
    FROM events WHERE session_start < event_date::TIMESTAMP AT TIME ZONE 'UTC'
),
visits AS (
    SELECT date, source, visitor_id, bool_or(is_bot) AS is_bot, sum(sessions) AS sessions, sum(converting) AS converting
    FROM (
        SELECT session_date AS date, source, visitor_id, is_bot, 1 AS sessions, (transactions > 0)::INT AS converting
        FROM sessions
        UNION ALL
        SELECT date, source, visitor_id, bots.rules IS NOT NULL, 0, 0
        FROM late LEFT JOIN bots USING (source, visitor_id)
    )
    GROUP BY date, source, visitor_id
),
counted AS (
    SELECT date, source, is_bot, count(*) AS visitors, sum(sessions) AS sessions, sum(converting) AS converting
    FROM visits
    GROUP BY ALL
),
bought AS (
    SELECT transaction_date AS date, source, bots.rules IS NOT NULL AS is_bot, count(DISTINCT visitor_id) AS purchasers,
        count(*) AS transactions
    FROM transactions LEFT JOIN bots USING (source, visitor_id)
    GROUP BY ALL
),
both_of AS (
    SELECT date, source, is_bot, visitors, sessions, converting, coalesce(purchasers, 0) AS purchasers,
        coalesce(transactions, 0) AS transactions
    FROM counted LEFT JOIN bought USING (date, source, is_bot)
)
SELECT date, source, 'is_bot' AS dimension, is_bot::VARCHAR AS value, visitors, sessions::BIGINT AS sessions,
    converting::BIGINT AS converting_sessions, purchasers, transactions, NULL::DECIMAL(18, 4) AS quantity,
    NULL::DECIMAL(18, 4) AS net_value, NULL::DECIMAL(18, 4) AS revenue
FROM both_of
UNION ALL
SELECT date, source, 'source', source, sum(visitors), sum(sessions), sum(converting), sum(purchasers), sum(transactions),
    NULL, NULL, NULL
FROM both_of
GROUP BY date, source;

CREATE TABLE daily AS
WITH counted AS (
    SELECT event_date AS date, count(*) AS events, count(*) FILTER (event_type = 'view') AS views,
        count(*) FILTER (event_type = 'add_to_cart') AS add_to_carts
    FROM events
    GROUP BY event_date
),
days AS (
    SELECT unnest(generate_series(min(date), max(date), INTERVAL 1 DAY))::DATE AS date FROM counted
),
visits AS (
    SELECT date, sum(visitors)::BIGINT AS visitors, sum(sessions)::BIGINT AS sessions,
        sum(converting_sessions)::BIGINT AS converting_sessions, sum(purchasers)::BIGINT AS purchasers,
        sum(transactions)::BIGINT AS transactions
    FROM daily_by WHERE dimension = 'source'
    GROUP BY date
)
SELECT date, coalesce(visitors, 0) AS visitors, coalesce(sessions, 0) AS sessions, coalesce(events, 0) AS events,
    coalesce(views, 0) AS views, coalesce(add_to_carts, 0) AS add_to_carts, coalesce(purchasers, 0) AS purchasers,
    coalesce(converting_sessions, 0) AS converting_sessions, coalesce(transactions, 0) AS transactions,
    NULL::DECIMAL(18, 4) AS quantity, NULL::DECIMAL(18, 4) AS net_value
FROM days LEFT JOIN counted USING (date) LEFT JOIN visits USING (date);

CREATE TABLE rfm AS
WITH as_of AS (SELECT max(date) AS today FROM daily),
customers AS (
    SELECT source, user_id, count(*) AS frequency, count(DISTINCT transaction_date) AS purchase_days,
        min(transaction_date) AS first_date, min(transaction_date) FILTER (customer_sequence = 2) AS second_date,
        max(transaction_date) AS last_date, today - max(transaction_date) AS recency_days, any_value(today) AS today
    FROM transactions CROSS JOIN as_of
    GROUP BY source, user_id, today
),
ranked AS (
    SELECT *, count(*) OVER (PARTITION BY source) - 1 AS others,
        rank() OVER (PARTITION BY source ORDER BY recency_days DESC) - 1 AS r_rank,
        rank() OVER (PARTITION BY source ORDER BY frequency) - 1 AS f_rank
    FROM customers
)
SELECT source, user_id, first_date AS first_transaction_date, last_date AS last_transaction_date, recency_days,
    frequency, NULL::DECIMAL(18, 4) AS monetary,
    CASE others WHEN 0 THEN 1 ELSE 1 + least(4, 5 * r_rank // others) END AS r,
    CASE others WHEN 0 THEN 1 ELSE 1 + least(4, 5 * f_rank // others) END AS f, NULL::BIGINT AS m,
    purchase_days, last_date - first_date AS active_days, second_date - first_date AS days_to_second,
    today - first_date AS age_days
FROM ranked;

CREATE TABLE affinity AS
WITH lines AS (
    SELECT DISTINCT source, transaction_id, product_id FROM transaction_lines WHERE product_id IS NOT NULL
),
orders AS (
    SELECT source, count(*) AS all_transactions FROM transactions GROUP BY source
),
products_sold AS (
    SELECT source, product_id, count(*) AS transactions FROM lines GROUP BY source, product_id HAVING count(*) >= 2
),
baskets AS (
    SELECT *, count(*) OVER (PARTITION BY source, transaction_id) AS products
    FROM lines
),
pairs AS (
    SELECT source, one.product_id, other.product_id AS other_product_id, count(*) AS together
    FROM (SELECT * FROM baskets SEMI JOIN products_sold USING (source, product_id) WHERE products BETWEEN 2 AND 200) AS one
    JOIN (SELECT * FROM baskets SEMI JOIN products_sold USING (source, product_id) WHERE products BETWEEN 2 AND 200) AS other
        USING (source, transaction_id)
    WHERE one.product_id <> other.product_id
    GROUP BY ALL HAVING count(*) >= 2
)
SELECT source, product_id, other_product_id, together, one.transactions, other.transactions AS other_transactions,
    together::DOUBLE / all_transactions AS support, together::DOUBLE / one.transactions AS confidence,
    together::DOUBLE * all_transactions / (one.transactions * other.transactions) AS lift
FROM pairs
JOIN orders USING (source)
JOIN products_sold AS one USING (source, product_id)
JOIN products_sold AS other ON pairs.source = other.source AND pairs.other_product_id = other.product_id;

CREATE TABLE cohorts AS
WITH as_of AS (SELECT max(date) AS today FROM daily),
grains(grain, length) AS (VALUES ('day', 90), ('week', 52), ('month', 24)),
buyers AS (
    SELECT source, user_id, min(transaction_date) AS first_date, max(transaction_date) AS last_date
    FROM transactions
    GROUP BY source, user_id
),
spans AS (
    SELECT 'first_visit' AS kind, source, first_date, last_date, count(*) AS users FROM users GROUP BY ALL
    UNION ALL
    SELECT 'first_purchase', source, first_date, last_date, count(*) FROM buyers GROUP BY ALL
),
active_days AS MATERIALIZED (
    SELECT DISTINCT 'first_visit' AS kind, source, user_id, first_date, session_date AS date
    FROM sessions JOIN users USING (source, user_id)
    WHERE first_date < last_date AND session_date > first_date
    UNION ALL
    SELECT DISTINCT 'first_purchase', source, user_id, first_date, transaction_date
    FROM transactions JOIN buyers USING (source, user_id)
    WHERE transaction_date > first_date
),
sizes AS (
    SELECT kind, source, grain, date_trunc(grain, first_date)::DATE AS cohort,
        date_diff(grain, date_trunc(grain, first_date), date_trunc(grain, last_date)) AS last_period, sum(users) AS users
    FROM spans CROSS JOIN grains
    GROUP BY ALL
),
active AS (
    SELECT kind, source, grain, date_trunc(grain, first_date)::DATE AS cohort,
        date_diff(grain, date_trunc(grain, first_date), date_trunc(grain, date)) AS period,
        count(DISTINCT user_id) AS active
    FROM active_days CROSS JOIN grains
    GROUP BY ALL
),
bought AS (
    SELECT kind, source, grain, date_trunc(grain, first_date)::DATE AS cohort,
        date_diff(grain, date_trunc(grain, first_date), date_trunc(grain, transaction_date)) AS period,
        count(*) AS transactions
    FROM (
        SELECT 'first_visit' AS kind, source, first_date, transaction_date
        FROM transactions JOIN users USING (source, user_id)
        UNION ALL
        SELECT 'first_purchase', source, first_date, transaction_date
        FROM transactions JOIN buyers USING (source, user_id)
    ) CROSS JOIN grains
    GROUP BY ALL
),
cells AS (
    SELECT kind, source, grain, cohort, unnest(range(least(length, date_diff(grain, oldest, date_trunc(grain, today))) + 1)) AS period,
        users, today
    FROM (
        SELECT kind, source, grain, cohort, sum(users) AS users, min(cohort) OVER (PARTITION BY kind, source, grain) AS oldest
        FROM sizes
        GROUP BY kind, source, grain, cohort
    )
    JOIN grains USING (grain)
    CROSS JOIN as_of
),
filled AS (
    SELECT kind, source, grain, cohort, period, today, cells.users::BIGINT AS users,
        (cohort + to_days(CASE grain WHEN 'day' THEN period WHEN 'week' THEN 7 * period ELSE 0 END::INT)
            + to_months(CASE grain WHEN 'month' THEN period ELSE 0 END::INT))::DATE AS period_start,
        CASE grain WHEN 'day' THEN to_days(1) WHEN 'week' THEN to_days(7) ELSE to_months(1) END AS one,
        CASE period WHEN 0 THEN cells.users ELSE coalesce(active, 0) END AS active,
        sum(coalesce(sizes.users, 0)) OVER w - coalesce(sizes.users, 0) AS gone_before,
        coalesce(transactions, 0) AS transactions
    FROM cells
    LEFT JOIN active USING (kind, source, grain, cohort, period)
    LEFT JOIN sizes
        ON (cells.kind, cells.source, cells.grain, cells.cohort, period)
            = (sizes.kind, sizes.source, sizes.grain, sizes.cohort, sizes.last_period)
    LEFT JOIN bought USING (kind, source, grain, cohort, period)
    WINDOW w AS (PARTITION BY cells.kind, cells.source, cells.grain, cells.cohort ORDER BY period ROWS UNBOUNDED PRECEDING)
)
SELECT source, kind, grain, cohort, period, period_start, today >= period_start + one AS is_complete, users,
    CASE WHEN today >= period_start THEN active END::BIGINT AS active,
    CASE WHEN today >= period_start THEN users - gone_before END::BIGINT AS active_on_or_after,
    CASE WHEN today >= period_start THEN transactions END AS transactions, NULL::DECIMAL(18, 4) AS net_value,
    NULL::DECIMAL(18, 4) AS net_value_to_date
FROM filled;
