{#
  A view over the lake. The Python model returns the text of a SELECT; nothing is copied.
  Publication drops these views: they cannot be read once external access is off.
#}
{% materialization lake_view, adapter="duckdb", supported_languages=["python"] %}
  {%- set target_relation = this.incorporate(type="view") -%}
  {%- set existing_relation = load_cached_relation(this) -%}
  {% if existing_relation is not none and not existing_relation.is_view %}
    {{ drop_relation_if_exists(existing_relation) }}
  {% endif %}
  {{ run_hooks(pre_hooks) }}
  {% call statement("main", language="python") -%}
{{ compiled_code }}

def materialize(query, con):
    con.execute('create or replace view {{ target_relation }} as ' + query)
  {%- endcall %}
  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}
