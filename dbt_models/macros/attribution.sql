{# Models of attribution: the credit of a touch, in whole parts of what all touches of the transaction have. #}

{% macro attribution_models() %}
    {{ return({
        "first": "case when touch_number = 1 then 1 else 0 end",
        "last": "case when touch_number = touches then 1 else 0 end",
        "last_non_direct": "case when touch_number = coalesce(last_non_direct, touches) then 1 else 0 end",
        "linear": "1",
        "position": "case when touches <= 2 then 1 when touch_number in (1, touches) then 2 * (touches - 2) else 1 end",
    }) }}
{% endmacro %}

{# Whether a visit came directly: nothing is known of where from, or what tools write for that. #}
{% macro is_direct(alias) -%}
    lower(coalesce({{ alias }}.traffic_source, 'direct')) in ('direct', '(direct)')
    and lower(coalesce({{ alias }}.medium, '(none)')) in ('(none)', 'none')
    and lower(coalesce({{ alias }}.campaign, '(none)')) in ('(none)', '(direct)', '(not set)')
{%- endmacro %}

{#
  The share of a whole number of units that falls to one touch, such that all shares add up to it exactly: what is due
  up to this touch, rounded, less what is due up to the one before.
#}
{% macro share(units) -%}
    case
        when parts_so_far = all_parts then {{ units }}
        else round(cast({{ units }} as double) * parts_so_far / all_parts)
    end
    - case
        when parts_so_far = parts then 0
        else round(cast({{ units }} as double) * (parts_so_far - parts) / all_parts)
    end
{%- endmacro %}

{# Sources, and whether any of their events says where a visit came from. #}
{% macro sources_with_visits(event_days) -%}
    select source, sum(traffic_source) + sum(medium) + sum(campaign) > 0 as has_visits
    from {{ event_days }}
    group by source
{%- endmacro %}
