{# Each row's columns are found together in another model (rows with a NULL among them are left out). #}
{% test foreign_key(model, columns, to, to_columns=none) %}
{%- set to_columns = to_columns or columns -%}
select {{ columns | join(", ") }}, count(*) as occurrences
from {{ ecom_analytics.tested(model) }} as child
where
    {% for column in columns -%} child.{{ column }} is not null and {% endfor %}
    not exists (
        select 1 from {{ to }} as parent
        where {% for column in columns -%}
            parent.{{ to_columns[loop.index0] }} = child.{{ column }} {{ "and " if not loop.last }}
        {%- endfor %}
    )
group by {{ columns | join(", ") }}
{% endtest %}
