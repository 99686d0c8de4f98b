"""``python -m ecom_analytics`` is the command ``ecom-analytics``."""

from ecom_analytics.cli import main

if __name__ == "__main__":
    main(prog_name="ecom-analytics")
