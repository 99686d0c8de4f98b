{# The catalogue of metrics, from the project's semantic models and metrics. #}

{# Text as a constant. #}
{% macro text(value) %}'{{ value | replace("'", "''") }}'{% endmacro %}

{# Name of a measure → its semantic model and itself. #}
{% macro measures() %}
    {%- set found = {} -%}
    {%- for model in (graph.get("semantic_models") or {}).values() -%}
        {%- for measure in model.measures -%}
            {%- do found.update({measure.name: {"model": model, "measure": measure}}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{# What a measure is, as SQL; of nothing a count is 0 and a sum as well. #}
{% macro measure_formula(measure) %}
    {%- set expression = measure.expr or measure.name -%}
    {{ return({
        "count": "count(" ~ expression ~ ")",
        "count_distinct": "count(distinct " ~ expression ~ ")",
        "sum": "case when count(*) = 0 then 0 else sum(" ~ expression ~ ") end",
    }[measure.agg]) }}
{% endmacro %}

{# One dictionary for each metric, in the order of their names; while dbt parses, one of NULLs. #}
{% macro catalogued_metrics() %}
    {%- set columns = [
        "name", "label", "description", "formula", "mart", "during", "numerator", "denominator", "unit", "format",
        "grain", "additivity", "null_rule", "requires",
    ] -%}
    {%- set rows = [] -%}
    {%- set measures = ecom_analytics.measures() if execute else {} -%}
    {%- for metric in ((graph.get("metrics") or {}).values() | sort(attribute="name") if execute else []) -%}
        {%- set row = {} -%}
        {%- for column in columns -%}{%- do row.update({column: none}) -%}{%- endfor -%}
        {%- do row.update({
            "name": metric.name, "label": metric.label, "description": metric.description | trim,
            "requires": ecom_analytics.requirements_of(metric) | join(","),
        }) -%}
        {%- for key in ["unit", "format", "grain", "additivity", "null_rule"] -%}
            {%- do row.update({key: metric.config.meta[key]}) -%}
        {%- endfor -%}
        {%- if metric.type == "ratio" -%}
            {%- set parts = metric.type_params -%}
            {%- do row.update({
                "formula": parts.numerator.name ~ " / " ~ parts.denominator.name,
                "numerator": parts.numerator.name, "denominator": parts.denominator.name,
            }) -%}
        {%- else -%}
            {%- set found = measures[metric.type_params.measure.name] -%}
            {%- do row.update({
                "formula": ecom_analytics.measure_formula(found["measure"]),
                "mart": found["model"].node_relation.alias,
                "during": found["model"].config.meta["during"],
            }) -%}
        {%- endif -%}
        {%- do rows.append(row) -%}
    {%- endfor -%}
    {%- if not rows -%}
        {%- set row = {} -%}
        {%- for column in columns -%}{%- do row.update({column: none}) -%}{%- endfor -%}
        {%- do rows.append(row) -%}
    {%- endif -%}
    {{ return(rows) }}
{% endmacro %}

{# What a metric needs, a ratio what both its parts need. #}
{% macro requirements_of(metric) %}
    {%- set found = [] -%}
    {%- do found.extend(metric.config.meta.get("requires") or []) -%}
    {%- if metric.type == "ratio" -%}
        {%- for part in graph.metrics.values() if part.name in (
            metric.type_params.numerator.name, metric.type_params.denominator.name
        ) -%}
            {%- do found.extend(part.config.meta.get("requires") or []) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found | unique | sort) }}
{% endmacro %}

{# All that any metric needs. #}
{% macro required_capabilities() %}
    {%- set found = [] -%}
    {%- for metric in ((graph.get("metrics") or {}).values() if execute else []) -%}
        {%- do found.extend(metric.config.meta.get("requires") or []) -%}
    {%- endfor -%}
    {{ return(found | unique | sort) }}
{% endmacro %}
