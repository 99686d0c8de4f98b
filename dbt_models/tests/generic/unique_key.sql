{#
  No two rows share the values of the columns. Rows are first grouped by a 64-bit hash, which is fast; only rows whose
  hash occurs twice are compared by value, so the answer is exact.
#}
{% test unique_key(model, columns) %}
{%- set rows = ecom_analytics.tested(model) -%}
select {{ columns | join(", ") }}, count(*) as occurrences
from {{ rows }} as tested
where {{ ecom_analytics.fast_hash(columns) }} in (
    select {{ ecom_analytics.fast_hash(columns) }} from {{ rows }} as hashed group by 1 having count(*) > 1
)
group by {{ columns | join(", ") }}
having count(*) > 1
{% endtest %}
