"""A panel of your own on the dashboard: transactions by how many pieces were bought at once.

Put this module into a package of yours, and name the class in its pyproject.toml:

    [project.entry-points."ecom_analytics.panels"]
    basket_sizes = "own_panel:BasketSizes"

Once that package is installed, the panel stands on its page, with the dates and filters of the page, a data table, a
CSV file, and an answer of the API: /api/v1/panels/basket_sizes
"""

QUERY = """
SELECT least(quantity, 10) AS pieces, count(*) AS transactions
FROM {transactions} AS transactions
WHERE transaction_date BETWEEN $start AND $end AND quantity IS NOT NULL
GROUP BY pieces ORDER BY pieces
"""


class BasketSizes:
    """Pieces per transaction."""

    name = "basket_sizes"
    title = "Pieces per transaction"
    description = "Transactions by the number of pieces in them; ten stands for ten and more."
    page = "sales"
    chart = "bars"  # or line, or table
    width = 6
    requires = ("transactions",)

    def query(self, marts, filters):
        shown = filters.relation("transactions")  # only what the filters of the page let through
        values = {**shown.values, "start": filters.start, "end": filters.end}
        return {
            "columns": [
                {"name": "pieces", "label": "Pieces", "type": "whole"},
                {"name": "transactions", "label": "Transactions", "type": "whole", "unit": "count"},
            ],
            "rows": marts.rows(QUERY.format(transactions=shown.sql), values),
        }
