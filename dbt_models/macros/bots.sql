{# Which visitors are bots: the rules, each with its threshold (0: no such rule), and what is measured for them. #}

{# The rules, in the order in which they are named. #}
{% macro bot_rules() %}{{ return(["rate", "volume", "no_pause"]) }}{% endmacro %}

{# The condition that measures break a rule. #}
{% macro bot_condition(rule) %}
    {%- set minute = var("bot_events_per_minute", 60) | int -%}
    {%- set day = var("bot_events_per_day", 2000) | int -%}
    {%- set run = (var("bot_hours_without_pause", 12) | float * 3600000000) | round | int -%}
    {{ return({
        "rate": "events_in_minute > " ~ minute if minute,
        "volume": "events_in_day > " ~ day if day,
        "no_pause": "longest_run >= " ~ run if run,
    }[rule] or "false") }}
{% endmacro %}

{# Microseconds of a longer gap than which two events are not of one run. #}
{% macro bot_pause() %}{{ return((var("bot_pause_seconds", 300) | float * 1000000) | round | int) }}{% endmacro %}

{#
  So many events or more has a visitor that breaks a rule; none if there are no rules. By this the few visitors to be
  measured are told from the others.
#}
{% macro least_events_of_a_bot() %}
    {%- set run = (var("bot_hours_without_pause", 12) | float * 3600000000) | round | int -%}
    {%- set least = [] -%}
    {%- for events in [var("bot_events_per_minute", 60) | int, var("bot_events_per_day", 2000) | int] if events -%}
        {%- do least.append(events + 1) -%}
    {%- endfor -%}
    {%- if run -%}{%- do least.append((run + ecom_analytics.bot_pause() - 1) // ecom_analytics.bot_pause() + 1) -%}{%- endif -%}
    {{ return(least | min if least else none) }}
{% endmacro %}
