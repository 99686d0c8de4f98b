{# Definitions that several models share. #}

{# The id of a session: md5 of source, visitor and the time of its first event. #}
{% macro session_id(source="source", visitor_id="visitor_id", session_start="session_start") -%}
    {{ dbt.hash(dbt.concat([
        source, "'|'", visitor_id, "'|'",
        "cast(" ~ ecom_analytics.epoch_microseconds(session_start) ~ " as " ~ dbt.type_string() ~ ")",
    ])) }}
{%- endmacro %}

{# Columns of an event that a source may lack. #}
{% macro optional_columns() %}
    {{ return([
        "user_id", "product_id", "transaction_id", "quantity", "unit_price", "currency", "category", "brand",
        "traffic_source", "medium", "campaign", "device", "country", "order_discount", "order_tax", "order_shipping",
        "source_event_id", "source_session_id", "source_item",
    ]) }}
{% endmacro %}

{# What an event can be. #}
{% macro event_types() %}
    {{ return(["view", "add_to_cart", "remove_from_cart", "checkout", "purchase", "refund", "search", "other"]) }}
{% endmacro %}

{#
  A total over transactions that is honest about what is not known: NULL if the source cannot give the value, or if the
  data has several currencies (money only); 0 if it can and there was no transaction.
#}
{% macro total(sum, transactions, known) -%}
    case
        when not coalesce({{ known }}, false) then null
        when coalesce({{ transactions }}, 0) = 0 then 0
        else {{ sum }}
    end
{%- endmacro %}

{# How many levels of categories there can be, the root's among them. #}
{% macro category_levels() %}{{ return(10) }}{% endmacro %}

{# Before and after any time that staging lets through; bounds of what holds always. #}
{% macro always(bound) -%}
    cast('{{ {"from": "1000-01-01", "to": "9999-01-01"}[bound] }} 00:00:00+00' as {{ ecom_analytics.type_instant() }})
{%- endmacro %}

{# The condition that what is known of a product (int_product_history) is so at a time. #}
{% macro known_at(known, row, time) -%}
    {{ row }}.source = {{ known }}.source
    and {{ row }}.product_id = {{ known }}.product_id
    and {{ time }} >= {{ known }}.valid_from
    and {{ time }} < {{ known }}.valid_to
{%- endmacro %}
