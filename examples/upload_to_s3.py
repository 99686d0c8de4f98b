"""A shop's nightly drop: cut a file into its days and put what is new into the lake on S3, unchanged.

python upload_to_s3.py events.csv s3://bucket/lake

Run it again with a longer file, or after it broke off: days that lie there are not sent again. Credentials are found as
boto3 finds them; ECOM_ANALYTICS_S3_ENDPOINT_URL names another store than Amazon's.
"""

import argparse

from ecom_analytics import EcomError, Ingestor, Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", help="file, folder or glob of raw events")
    parser.add_argument("lake", help="s3://bucket/prefix")
    parser.add_argument("--source", default="shop", help="name of the place that the events come from")
    arguments = parser.parse_args()

    settings = Settings(lake=arguments.lake, source=arguments.source)
    try:
        report = Ingestor(settings).ingest(arguments.events, daily=True)
    except EcomError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    for batch in report.batches:
        print("sent" if batch.new else "was there", batch.name, batch.batch_id[:12], batch.bytes, "bytes")
    print(f"{report.new} of {report.files} days are new in {settings.lake}")


if __name__ == "__main__":
    main()
