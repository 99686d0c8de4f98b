{# None of the columns is ever NULL. One scan for all of them; a row for each column that fails. #}
{% test complete(model, columns) %}
{{ config(fail_calc="coalesce(sum(failures), 0)") }}
with counted as (
    select
        count(*) as all_rows
        {%- for column in columns %}, count({{ column }}) as {{ column }}{% endfor %}
    from {{ ecom_analytics.tested(model) }} as tested
)
{% for column in columns %}
select '{{ column }}' as column_name, all_rows - {{ column }} as failures from counted where all_rows > {{ column }}
{{ "union all" if not loop.last }}
{% endfor %}
{% endtest %}
