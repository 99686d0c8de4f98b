{# The condition is true of every row; unknown (NULL) counts as true. #}
{% test holds(model, condition) %}
select * from {{ model }} where not ({{ condition }})
{% endtest %}
