-- The credits of a transaction are 1, and what is credited is its net value, in each model.
select
    credited.source,
    credited.transaction_id,
    credited.model,
    credited.credit,
    credited.net_value,
    transactions.net_value as transaction_value
from (
    select source, transaction_id, model, sum(credit) as credit, sum(net_value) as net_value
    from {{ ref("attribution") }}
    group by source, transaction_id, model
) as credited
left join {{ ref("transactions") }} as transactions
    on credited.source = transactions.source and credited.transaction_id = transactions.transaction_id
where
    credited.credit <> 1
    or transactions.transaction_id is null
    or credited.net_value <> transactions.net_value
    or (credited.net_value is null) <> (transactions.net_value is null)
