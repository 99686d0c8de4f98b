-- Transactions with more products than the setting affinity_max_products make no pairs.
{{ config(severity="warn") }}
select source, transaction_id, products from {{ ref("int_baskets") }} where is_too_large
