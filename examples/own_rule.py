"""A rule of your own that settings cannot say: a price that is not what its currency has coins for.

Put this module into a package of yours, and name the class in its pyproject.toml:

    [project.entry-points."ecom_analytics.rules"]
    fractional_yen = "own_rule:FractionalYen"

Once that package is installed, every event is held to it, `plugins` lists it, and settings may change its severity.
"""


class FractionalYen:
    """Prices in yen are whole: others were most likely converted, or are in another currency."""

    name = "fractional_yen"
    severity = "warn"
    message = "the price in yen is not whole"
    version = "1"  # raise it with the condition: what was staged before is then read again by `rejected --replay`

    def condition(self, events):
        return (events.currency == "JPY") & (events.unit_price.round() != events.unit_price)
