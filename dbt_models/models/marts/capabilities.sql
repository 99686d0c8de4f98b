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
),

-- What the catalogue knows counts as well.
described as (
    select source, count(category) as category, count(brand) as brand
    from {{ ref("products") }}
    group by source
),

known as (
    select
        counted.*,
        coalesce(described.category, 0) as described_category,
        coalesce(described.brand, 0) as described_brand
    from counted
    left join described on counted.source = described.source
)

{% for column in ecom_analytics.optional_columns() %}
select
    source,
    '{{ column }}' as capability,
    {{ column ~ " + described_" ~ column if column in ["category", "brand"] else column }} > 0 as available
from known
union all
{% endfor %}
{%- for type in ecom_analytics.event_types() %}
select source, '{{ type }}' as capability, {{ "type_" ~ type }} > 0 as available from counted
{{ "union all" if not loop.last }}
{%- endfor %}
