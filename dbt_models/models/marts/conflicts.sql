with conflicting as (
    select
        events.*,
        coalesce(batches.name, events.batch_id) as file,
        coalesce(first_batches.name, events.first_batch_id) as first_file
    from {{ ref("int_order_events") }} as events
    left join {{ ref("stg_batches") }} as batches on events.batch_id = batches.batch_id
    left join {{ ref("stg_batches") }} as first_batches on events.first_batch_id = first_batches.batch_id
    where events.conflict is not null
)

select
    source,
    transaction_id,
    conflict as kind,
    {{ dbt.concat([
        "'transaction '", "transaction_id", "' is of visitor '", "first_visitor_id", "' at '",
        "cast(first_event_ts as " ~ dbt.type_string() ~ ")", "' ('", "first_file", "', line '",
        "cast(first_source_line as " ~ dbt.type_string() ~ ")",
        "case when conflict = 'several_visitors' then '); visitor ' else '); the same visitor ' end", "visitor_id",
        "' used the id at '", "cast(event_ts as " ~ dbt.type_string() ~ ")",
        "case when is_counted then ', counted as a line of it' else ', left out' end",
    ]) }} as message,
    file,
    source_line as line,
    source_item as item,
    batch_id,
    visitor_id,
    event_ts,
    {{ ecom_analytics.money("case when not is_counted then revenue when revenue is not null then 0 end") }}
        as value_left_out
from conflicting
