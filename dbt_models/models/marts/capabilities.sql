with counted as (
    select
        source
        {%- for column in ecom_analytics.optional_columns() %},
        sum({{ column }}) as {{ column }}
        {%- endfor %}
        {%- for type in ecom_analytics.event_types() %},
        sum(case when event_type = '{{ type }}' then events else 0 end) as {{ "type_" ~ type }}
        {%- endfor %}
    from {{ ref("int_event_days") }}
    group by source
)

{% for column in ecom_analytics.optional_columns() %}
select source, '{{ column }}' as capability, {{ column }} > 0 as available from counted
union all
{% endfor %}
{%- for type in ecom_analytics.event_types() %}
select source, '{{ type }}' as capability, {{ "type_" ~ type }} > 0 as available from counted
{{ "union all" if not loop.last }}
{%- endfor %}
