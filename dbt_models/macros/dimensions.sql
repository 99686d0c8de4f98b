{# By what days are told apart. #}

{# Attributes of a session that a source may know. #}
{% macro session_dimensions() %}{{ return(["traffic_source", "medium", "campaign", "device", "country"]) }}{% endmacro %}

{# Those of the columns that any event fills; all, where there is no table to ask: in a parse, in a unit test. #}
{% macro known_dimensions(event_days, columns) %}
    {%- if not execute or "__dbt__cte__" in event_days | string %}{{ return(columns) }}{% endif -%}
    {%- set counts -%}
        select {% for column in columns %}coalesce(sum({{ column }}), 0){{ ", " if not loop.last }}{% endfor %}
        from {{ event_days }}
    {%- endset -%}
    {%- set row = run_query(counts).rows[0] -%}
    {%- set found = [] -%}
    {%- for column in columns -%}
        {%- if row[loop.index0] > 0 -%}{%- do found.append(column) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{# Whether each source knows the same of its sessions as it did in the build before. #}
{% macro same_dimensions() %}
    {%- set known -%}
        select source {% for column in ecom_analytics.session_dimensions() %}, sum({{ column }}) > 0 as {{ column }}{% endfor %}
    {%- endset -%}
    {%- set changed -%}
        select 1 from (
            {{ known }} from {{ ecom_analytics.previous_state("int_event_days") }} group by source
            except
            {{ known }} from {{ ecom_analytics.relation_of("int_event_days") }} group by source
        ) as changed
    {%- endset -%}
    {{ return(not ecom_analytics.asked(changed)) }}
{% endmacro %}
