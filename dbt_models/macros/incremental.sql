{#
  Builds that start from a copy of the build before. Its tables are attached as `previous`, and `stg_changes` holds the
  rows of staged events that went or came since. Such a build replaces the rows of touched keys, and only these; keys
  that are gone are touched as well. Any other build, a plain `dbt build` among them, makes every table anew.
#}

{# Whether this build starts from the build before; false while dbt parses. #}
{% macro is_partial() %}{{ return(execute and var("previous", false)) }}{% endmacro %}

{# A mart, and an intermediate table, of the build before. Not a ref: a model may need what it will itself replace. #}
{% macro previous(mart) %}previous.{{ target.schema }}.{{ mart }}{% endmacro %}
{% macro previous_state(model) %}previous_state.{{ target.schema }}.{{ model }}{% endmacro %}

{#
  The condition that a row of `alias` has a key of the relation `touched`. The last column of the key, which tells most
  apart, is looked up first, then a hash of three or more, because that is fast over many rows; the exact comparison is
  left with the few that pass.
#}
{% macro is_touched(alias, touched, key, touched_key=none) -%}
    {%- set touched_key = touched_key or key -%}
    {{ alias }}.{{ key[-1] }} in (select {{ touched_key[-1] }} from {{ touched }})
    {% if key | length > 2 -%}
    and {{ ecom_analytics.fast_hash(ecom_analytics.prefixed(alias, key)) }} in (
        select {{ ecom_analytics.fast_hash(touched_key) }} from {{ touched }}
    )
    {% endif -%}
    {% if key | length > 1 -%}
    and exists (
        select 1
        from {{ touched }} as touched
        where
            {% for column in key -%}
            {{ "and " if not loop.first }}touched.{{ touched_key[loop.index0] }} = {{ alias }}.{{ column }}
            {% endfor %}
    )
    {%- endif %}
{%- endmacro %}

{% macro prefixed(alias, columns) %}
    {%- set found = [] -%}
    {%- for column in columns %}{% do found.append(alias ~ "." ~ column) %}{% endfor -%}
    {{ return(found) }}
{% endmacro %}

{# The first column of a query's rows, asked at once; `none` in a build that makes everything anew. #}
{% macro asked(query) %}
    {%- if not ecom_analytics.is_partial() %}{{ return(none) }}{% endif -%}
    {{ return(run_query(query).columns[0].values() | list) }}
{% endmacro %}

{#
  The condition that a column is one of these dates, as constants: by them files are left out before they are opened.
  Any date, where none are given.
#}
{% macro is_one_of(column, dates) -%}
    {%- if dates is none -%}
        true
    {%- elif dates -%}
        {{ column }} in ({% for date in dates %}cast('{{ date }}' as date){{ ", " if not loop.last }}{% endfor %})
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}

{# A model by its name, without becoming one that depends on it. #}
{% macro relation_of(name) %}
    {%- for node in graph.nodes.values() if node.unique_id == "model.ecom_analytics." ~ name -%}
        {{ return(node.relation_name) }}
    {%- endfor -%}
{% endmacro %}

{# Whether what a source knows (int_sources) is as it was: else its sums may turn from unknown to known, all of them. #}
{% macro same_sources() %}
    {%- set sources = ecom_analytics.relation_of("int_sources") -%}
    {%- set changed -%}
        select 1 from (
            select source, has_quantities, has_values from {{ ecom_analytics.previous_state("int_sources") }}
            except
            select source, has_quantities, has_values from {{ sources }}
        ) as changed
        union all
        select 1 from (
            select max(cast(has_quantities as int)), max(cast(has_values as int))
            from {{ ecom_analytics.previous_state("int_sources") }}
            except
            select max(cast(has_quantities as int)), max(cast(has_values as int)) from {{ sources }}
        ) as changed
    {%- endset -%}
    {{ return(not ecom_analytics.asked(changed)) }}
{% endmacro %}

{# Whether the catalogue's files are those of the build before. #}
{% macro same_catalogue() %}{{ return(var("same_catalogue", false)) }}{% endmacro %}

{#
  The incremental strategy of all keyed models: rows of touched keys go, the model's rows come. A model's `meta` names
  the relation with the touched keys (`touched`) and their columns in it and in the model (`key`). If what it depends
  on as a whole is not as it was (`whole_with`: sources, catalogue, dimensions), all rows go. A column that both have and that has
  few values in `touched` can be named (`date`), so that most rows are passed over quickly.
#}
{% macro get_incremental_replace_touched_sql(arg_dict) %}
    {%- set columns = arg_dict["dest_columns"] | map(attribute="quoted") | join(", ") -%}
    {%- set meta = config.get("meta") -%}
    {%- set replaced = arg_dict["target_relation"] -%}
    {%- set rows = arg_dict["temp_relation"] -%}
    {%- if ecom_analytics.replaces_touched(meta.get("whole_with", [])) -%}
    {%- set touched = ref(meta["touched"]) -%}
    create or replace table {{ ecom_analytics.placed(replaced) }} as
    select {{ columns }}
    from {{ rows }} as rows_of_model
    where {{ ecom_analytics.is_touched("rows_of_model", touched, meta["key"]) }};
    delete from {{ replaced }} as replaced where {{ ecom_analytics.is_replaced("replaced", meta, touched) }};
    insert into {{ replaced }} ({{ columns }}) select {{ columns }} from {{ ecom_analytics.placed(replaced) }}
    {%- else -%}
    delete from {{ replaced }};
    insert into {{ replaced }} ({{ columns }}) select {{ columns }} from {{ rows }}
    {%- endif %}
{% endmacro %}

{# The table of the rows that this build put into a model; publication drops it. #}
{% macro placed(relation) %}
    {{ return(api.Relation.create(
        database=relation.database, schema=relation.schema, identifier=relation.identifier ~ "__placed"
    )) }}
{% endmacro %}

{# Whether a model that depends on these as a whole can replace touched keys only. #}
{% macro replaces_touched(whole_with=[]) %}
    {{ return(
        ecom_analytics.is_partial()
        and ("catalogue" not in whole_with or ecom_analytics.same_catalogue())
        and ("sources" not in whole_with or ecom_analytics.same_sources())
        and ("dimensions" not in whole_with or ecom_analytics.same_dimensions())
    ) }}
{% endmacro %}

{# The condition that a row of `alias` is one that this build replaces, by the model's `meta`. #}
{% macro is_replaced(alias, meta, touched) -%}
    {%- if meta.get("date") -%}
        {{ ecom_analytics.is_one_of(
            alias ~ "." ~ meta["date"], ecom_analytics.asked("select distinct " ~ meta["date"] ~ " from " ~ touched)
        ) }} and {% endif -%}
    {{ ecom_analytics.is_touched(alias, touched, meta["key"]) }}
{%- endmacro %}

{#
  The rows of a model that a test has to look at: those that this build put there. All others passed the same test in
  the build before, and have other keys. All rows, where the model is made anew.
#}
{% macro tested(model) %}
    {%- if ecom_analytics.is_partial() -%}
    {%- for node in graph.nodes.values() if node.relation_name == model | string and node.config.materialized == "incremental" and node.config.meta.get("touched") -%}
        {%- if ecom_analytics.replaces_touched(node.config.meta.get("whole_with", [])) -%}
            {{ return(ecom_analytics.placed(model)) }}
        {%- endif -%}
    {%- endfor -%}
    {%- endif -%}
    {{ return(model) }}
{% endmacro %}
