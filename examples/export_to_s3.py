"""Write the published marts to S3 as Parquet and CSV; a reader waits for the manifest, which comes last.

python export_to_s3.py s3://bucket/marts --home ./ecom-data
"""

import argparse

from ecom_analytics import EcomError, Exporter, Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("destination", help="s3://bucket/prefix")
    parser.add_argument("--home", default="ecom-data", help="folder of the warehouse")
    arguments = parser.parse_args()

    try:
        report = Exporter(Settings(home=arguments.home)).export(arguments.destination, formats=["parquet", "csv"])
    except EcomError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    for table in report.tables:
        print(f"{table.uri}  {table.rows} rows, {table.bytes} bytes")
    print(f"build {report.build_id}: {report.manifest}")


if __name__ == "__main__":
    main()
