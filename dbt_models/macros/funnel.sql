{# The steps that a funnel can have, in the order in which events of one moment are taken. #}
{% macro funnel_steps() %}{{ return(["view", "add_to_cart", "checkout", "purchase"]) }}{% endmacro %}
