"""The panels that the dashboard comes with, page by page."""

from __future__ import annotations

from ecom_analytics.panels.route_panel import RoutePanel

TOP = {"limit": "10"}

# Overview
kpis = RoutePanel("kpis", "Key figures", "overview", "kpis", "kpis", width=12, order=0)
timeseries = RoutePanel(
    "timeseries", "Transactions per day", "overview", "line", "timeseries", {"metric": "transactions"}, width=8, order=1
)
mini_funnel = RoutePanel(
    "mini_funnel",
    "From view to purchase",
    "overview",
    "funnel",
    "funnel",
    width=4,
    order=2,
    requires=("funnel", "sessions"),
    description="Sessions by the day they started: those with a product view, of these those with an add to cart after "
    "it, of these those with a purchase after that.",
)
top_products = RoutePanel(
    "top_products",
    "Top products",
    "overview",
    "products",
    "products",
    {**TOP, "sort": "-purchases"},
    width=7,
    order=3,
    requires=("daily_products", "products"),
    description="Products by the number of times that they were bought.",
)
top_users = RoutePanel(
    "top_users",
    "Top users by transactions",
    "overview",
    "users",
    "users",
    {**TOP, "sort": "-transactions"},
    width=5,
    order=4,
    requires=("sessions", "users"),
    description="Users by the transactions of their sessions.",
)
weekdays = RoutePanel(
    "weekdays",
    "Transactions by weekday",
    "overview",
    "bars",
    "breakdown/weekday",
    {"metric": "transactions"},
    width=5,
    order=5,
)
notices = RoutePanel("notices", "About these data", "overview", "notices", "notices", width=7, order=6)

# Sales
sales_kpis = RoutePanel("sales_kpis", "Key figures", "sales", "kpis", "kpis", width=12, order=0)
trend = RoutePanel(
    "trend",
    "Net order value",
    "sales",
    "metric",
    "timeseries",
    {"metric": "net_value"},
    width=12,
    order=1,
    description="Any metric by day, week or month.",
)
heat = RoutePanel(
    "heat",
    "Transactions by weekday and hour",
    "sales",
    "heat",
    "breakdown/weekday_hour",
    {"metric": "transactions"},
    width=7,
    order=2,
    requires=("transactions",),
    description="In the store's time zone. A click filters the page.",
)
order_values = RoutePanel(
    "order_values",
    "Order values",
    "sales",
    "histogram",
    "breakdown/order_value",
    {},
    width=5,
    order=3,
    requires=("transactions",),
    description="Transactions by their net order value.",
)
new_and_repeat = RoutePanel(
    "new_and_repeat",
    "New and repeat customers",
    "sales",
    "split",
    "timeseries",
    {"metric": "transactions", "split": "customer_type"},
    width=7,
    order=4,
    requires=("transactions",),
    description="Transactions that are the first one of their customer, and later ones.",
)
channels = RoutePanel(
    "channels",
    "Sales by channel",
    "sales",
    "channels",
    "attribution",
    {},
    width=5,
    order=5,
    requires=("attribution",),
    description="Transactions credited to the channels of the visits before them: to the last one that is not direct.",
)
transactions = RoutePanel(
    "transactions",
    "Transactions",
    "sales",
    "table",
    "transactions",
    {"limit": "20"},
    width=12,
    order=6,
    requires=("transactions",),
    description="A row opens its lines, with the file and line that each was read from.",
)

# Products
product_table = RoutePanel(
    "product_table",
    "Products",
    "products",
    "table",
    "products",
    {"limit": "20"},
    width=12,
    order=0,
    requires=("daily_products", "products"),
    description="Products with an event in the range. Conversion is of all dates: visitors who viewed and bought it, "
    "of those who viewed it. A row opens the product.",
)
categories = RoutePanel(
    "categories",
    "Categories",
    "products",
    "ranking",
    "breakdown/category",
    {"metric": "transactions", "limit": "12"},
    width=6,
    order=1,
    requires=("transaction_lines",),
    description="Transactions with a product of the category. A click filters the page.",
)
brands = RoutePanel(
    "brands",
    "Brands",
    "products",
    "ranking",
    "breakdown/brand",
    {"metric": "transactions", "limit": "12"},
    width=6,
    order=2,
    requires=("transaction_lines",),
    description="Transactions with a product of the brand. A click filters the page.",
)
pareto = RoutePanel(
    "pareto",
    "How few products make the sales",
    "products",
    "pareto",
    "products",
    {"limit": "1000", "sort": "-purchases"},
    width=6,
    order=3,
    requires=("daily_products", "products"),
    description="Products by how often they were bought, and the share that they make up together.",
)
affinity = RoutePanel(
    "affinity",
    "Bought together",
    "products",
    "table",
    "affinity",
    {"limit": "12"},
    width=6,
    order=4,
    requires=("affinity",),
    description="Pairs of products in one transaction, over all dates. Lift tells how much more often than by chance.",
)

# Customers
segments = RoutePanel(
    "segments",
    "Customer segments",
    "customers",
    "segments",
    "rfm",
    {},
    width=7,
    order=0,
    requires=("rfm",),
    description="By how recently, how often and for how much customers bought, as of the last event. A click filters "
    "the page.",
)
orders_per_customer = RoutePanel(
    "orders_per_customer",
    "Orders per customer",
    "customers",
    "histogram",
    "breakdown/orders_per_customer",
    {},
    width=5,
    order=1,
    requires=("transactions",),
    description="Users by their number of transactions in the range.",
)
ltv = RoutePanel(
    "ltv",
    "Value of a customer by cohort",
    "customers",
    "cohorts",
    "cohorts",
    {"measure": "ltv", "cohort_grain": "month", "limit": "12"},
    width=12,
    order=2,
    requires=("cohorts",),
    description="Net order value so far of the customers of a cohort, by customer.",
)
user_table = RoutePanel(
    "user_table",
    "Users",
    "customers",
    "table",
    "users",
    {"limit": "20"},
    width=12,
    order=3,
    requires=("sessions", "users"),
    description="Users with a session in the range. A row opens all that they did.",
)

# Funnel
funnel = RoutePanel(
    "funnel",
    "From view to purchase",
    "funnel",
    "funnel",
    "funnel",
    {},
    width=7,
    order=0,
    requires=("funnel", "sessions"),
    description=mini_funnel.description,
)
carts = RoutePanel(
    "carts",
    "What becomes of carts",
    "funnel",
    "carts",
    "carts",
    {},
    width=5,
    order=1,
    requires=("carts",),
    description="Carts by the day they were opened. A cart is abandoned after 7 idle days (a setting), recovered if "
    "it was bought after it was idle for a session.",
)
funnel_trend = RoutePanel(
    "funnel_trend",
    "How far sessions come",
    "funnel",
    "rates",
    "funnel",
    {"trend": "true"},
    width=7,
    order=2,
    requires=("funnel", "sessions"),
    description="Of the sessions with a product view, those that reach each step.",
)
funnel_by = RoutePanel(
    "funnel_by",
    "By device",
    "funnel",
    "funnel_by",
    "funnel",
    {"split": "device"},
    width=5,
    order=3,
    requires=("funnel", "sessions"),
    description="How far sessions come, told apart by a dimension.",
)

# Retention
retention = RoutePanel(
    "retention",
    "Who comes back",
    "retention",
    "cohorts",
    "cohorts",
    {"measure": "rate"},
    width=12,
    order=0,
    requires=("cohorts",),
    description="Cohorts by their first purchase or first visit: how many were active again in each period after it. "
    "Averages are weighted by the size of the cohorts; cells that are not over yet are left out of them.",
)
curves = RoutePanel(
    "curves",
    "Retention curves",
    "retention",
    "curves",
    "cohorts",
    {"measure": "rate"},
    width=12,
    order=1,
    requires=("cohorts",),
    description="Each cohort as a line, the newest ones strongest; the weighted average dashed.",
)

# Data
account = RoutePanel(
    "account",
    "Where every record went",
    "data",
    "account",
    "meta",
    {},
    width=7,
    order=0,
    description="Rows in are rows used, duplicates, rejected and blank; each can be traced to its file and line.",
)
build = RoutePanel("build", "The served build", "data", "build", "meta", {}, width=5, order=1)
rejected = RoutePanel("rejected", "Rejected records", "data", "rejected", "quality/rejected", {}, width=12, order=2)
checks = RoutePanel(
    "checks",
    "Data tests",
    "data",
    "checks",
    "quality/checks",
    {},
    width=12,
    order=3,
    description="Nothing is published unless all of them pass. Each with its results in the builds before.",
)
lineage = RoutePanel(
    "lineage",
    "What is made of what",
    "data",
    "lineage",
    "quality/lineage",
    {},
    width=12,
    order=4,
    description="The tables of the build, from staged events to marts.",
)
runs = RoutePanel("runs", "Runs", "data", "table", "runs", {"limit": "10"}, width=12, order=5, requires=("runs",))
glossary = RoutePanel(
    "glossary",
    "Metrics",
    "data",
    "glossary",
    "metrics",
    {},
    width=12,
    order=6,
    description="What each word means, everywhere: here, in the API, in the warehouse.",
)
downloads = RoutePanel("downloads", "Downloads and API", "data", "downloads", "meta", {}, width=12, order=7)
