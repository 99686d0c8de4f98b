-- The catalogue of metrics: one row for each metric of the project, its formula made of the measure that it names.
-- depends_on: {{ ref("capabilities") }}
{%- set rows = ecom_analytics.catalogued_metrics() %}
with capable as (
    select capability from {{ ref("capabilities") }} where available group by capability
    union
    select 'values' as capability from {{ ref("int_sources") }} where has_values
),

catalogue as (
    {%- for row in rows %}
    select
        {%- for column, value in row.items() %}
        {{ "cast(null as " ~ dbt.type_string() ~ ")" if value is none else ecom_analytics.text(value) }} as {{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

lacking as (
    select catalogue.name
    from catalogue
    where
        {%- for capability in ecom_analytics.required_capabilities() %}
        {{ "or " if not loop.first }}concat(',', catalogue.requires, ',') like '%,{{ capability }},%'
        and not exists (select 1 from capable where capable.capability = '{{ capability }}')
        {%- else %}
        false
        {%- endfor %}
)

select catalogue.*, lacking.name is null as available
from catalogue
left join lacking on catalogue.name = lacking.name
