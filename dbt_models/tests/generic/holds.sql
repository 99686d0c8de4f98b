{# The condition is true of every row; unknown (NULL) counts as true. #}
{% test holds(model, condition) %}
select * from {{ ecom_analytics.tested(model) }} as tested where not ({{ condition }})
{% endtest %}
