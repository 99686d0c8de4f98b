{{ config(materialized="ephemeral") }}
-- Where a session came from and on what device: the first event that says so. Traffic source, medium and campaign
-- are taken from one and the same event. Free of cost for sources that fill none of these columns.
select
    source,
    visitor_id,
    session_start,
    min_by(
        {{ ecom_analytics.pack(["traffic_source", "medium", "campaign"]) }},
        {{ ecom_analytics.pack(["event_ts", "traffic_source", "medium", "campaign"]) }}
    ) filter (where traffic_source is not null or medium is not null or campaign is not null) as touch,
    min_by(device, {{ ecom_analytics.pack(["event_ts", "device"]) }}) filter (where device is not null) as device,
    min_by(country, {{ ecom_analytics.pack(["event_ts", "country"]) }}) filter (where country is not null) as country
from {{ ref("stg_events") }}
where
    traffic_source is not null
    or medium is not null
    or campaign is not null
    or device is not null
    or country is not null
group by source, visitor_id, session_start
