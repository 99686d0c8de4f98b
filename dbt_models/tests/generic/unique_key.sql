{#
  No two rows share the values of the columns. Rows are first grouped by a 64-bit hash, which is fast; only rows whose
  hash occurs twice are compared by value, so the answer is exact.
#}
{% test unique_key(model, columns) %}
select {{ columns | join(", ") }}, count(*) as occurrences
from {{ model }}
where {{ ecom_analytics.fast_hash(columns) }} in (
    select {{ ecom_analytics.fast_hash(columns) }} from {{ model }} group by 1 having count(*) > 1
)
group by {{ columns | join(", ") }}
having count(*) > 1
{% endtest %}
