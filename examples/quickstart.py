"""From a file of raw events to tested marts, an export and a first answer."""

from ecom_analytics import Pipeline, Settings, Warehouse
from ecom_analytics.generate import generate

settings = Settings(home="shop")
generate("events.csv", like="shop", events=20_000, days=30, faults=True)  # or take a file of your own
report = Pipeline(settings).run("events.csv", source="shop")
print(f"{report.stage.records} records: {report.stage.staged} staged, {report.stage.rejected} rejected")
print(f"build {report.build.build_id}: {report.build.tests} tests passed")
print(Warehouse(settings).sql("SELECT date, visitors, transactions, net_value FROM daily LIMIT 3").to_pylist())
