{# What engines spell differently. Models use these and dbt's cross-database macros, never one engine's dialect. #}

{# Microseconds since 1970 of a timestamp. #}
{% macro epoch_microseconds(timestamp) %}{{ return(adapter.dispatch("epoch_microseconds", "ecom_analytics")(timestamp)) }}{% endmacro %}
{% macro default__epoch_microseconds(timestamp) %}unix_micros({{ timestamp }}){% endmacro %}
{% macro duckdb__epoch_microseconds(timestamp) %}epoch_us({{ timestamp }}){% endmacro %}

{# The first moment of a date in the store's time zone. #}
{% macro start_of_day(date) %}{{ return(adapter.dispatch("start_of_day", "ecom_analytics")(date)) }}{% endmacro %}
{% macro default__start_of_day(date) %}to_utc_timestamp(cast({{ date }} as timestamp), '{{ var("timezone", "UTC") }}'){% endmacro %}
{% macro duckdb__start_of_day(date) %}(cast({{ date }} as timestamp) at time zone '{{ var("timezone", "UTC") }}'){% endmacro %}

{# Several values as one, compared from the left. #}
{% macro pack(columns) %}{{ return(adapter.dispatch("pack", "ecom_analytics")(columns)) }}{% endmacro %}
{% macro default__pack(columns) %}named_struct({% for c in columns %}'{{ c }}', {{ c }}{{ ", " if not loop.last }}{% endfor %}){% endmacro %}
{% macro duckdb__pack(columns) %}struct_pack({% for c in columns %}{{ c }} := {{ c }}{{ ", " if not loop.last }}{% endfor %}){% endmacro %}

{# A 64-bit hash of several values; equal values have equal hashes. #}
{% macro fast_hash(columns) %}{{ return(adapter.dispatch("fast_hash", "ecom_analytics")(columns)) }}{% endmacro %}
{% macro default__fast_hash(columns) %}xxhash64({{ columns | join(", ") }}){% endmacro %}
{% macro duckdb__fast_hash(columns) %}hash({{ columns | join(", ") }}){% endmacro %}

{# NULL instead of an error when a product of two decimals is too large for money. #}
{% macro try_money(expression) %}try_cast({{ expression }} as {{ ecom_analytics.type_money() }}){% endmacro %}
{% macro money(expression) %}cast({{ expression }} as {{ ecom_analytics.type_money() }}){% endmacro %}
{% macro type_money() %}decimal(18, 4){% endmacro %}
{% macro whole(expression) %}cast({{ expression }} as {{ dbt.type_bigint() }}){% endmacro %}

{# The last value of a column so far that is not NULL; `over` follows. #}
{% macro last_known(column) %}{{ return(adapter.dispatch("last_known", "ecom_analytics")(column)) }}{% endmacro %}
{% macro default__last_known(column) %}last_value({{ column }}) ignore nulls{% endmacro %}
{% macro duckdb__last_known(column) %}last_value({{ column }} ignore nulls){% endmacro %}

{# The type of a point in time. #}
{% macro type_instant() %}{{ return(adapter.dispatch("type_instant", "ecom_analytics")()) }}{% endmacro %}
{% macro default__type_instant() %}timestamp{% endmacro %}
{% macro duckdb__type_instant() %}timestamp with time zone{% endmacro %}

{# The day of a point in time, in the store's time zone. #}
{% macro date_of(timestamp) %}{{ return(adapter.dispatch("date_of", "ecom_analytics")(timestamp)) }}{% endmacro %}
{% macro default__date_of(timestamp) %}cast(from_utc_timestamp({{ timestamp }}, '{{ var("timezone", "UTC") }}') as date){% endmacro %}
{% macro duckdb__date_of(timestamp) %}cast({{ timestamp }} at time zone '{{ var("timezone", "UTC") }}' as date){% endmacro %}

{# Makes of a row one for each date from one to another; an expression of a select list. #}
{% macro each_day(first_day, last_day) %}{{ return(adapter.dispatch("each_day", "ecom_analytics")(first_day, last_day)) }}{% endmacro %}
{% macro default__each_day(first_day, last_day) %}explode(sequence({{ first_day }}, {{ last_day }})){% endmacro %}
{% macro duckdb__each_day(first_day, last_day) %}cast(unnest(generate_series({{ first_day }}, {{ last_day }}, interval 1 day)) as date){% endmacro %}

{# A point in time so many microseconds later. #}
{% macro later(timestamp, microseconds) %}{{ return(adapter.dispatch("later", "ecom_analytics")(timestamp, microseconds)) }}{% endmacro %}
{% macro default__later(timestamp, microseconds) %}timestamp_micros(unix_micros({{ timestamp }}) + {{ microseconds }}){% endmacro %}
{% macro duckdb__later(timestamp, microseconds) %}make_timestamptz(epoch_us({{ timestamp }}) + {{ microseconds }}){% endmacro %}

{# Between a common table expression's name and its query: an engine computes it once, however often it is used. #}
{% macro as_once() %}{{ return(adapter.dispatch("as_once", "ecom_analytics")()) }}{% endmacro %}
{% macro default__as_once() %}as{% endmacro %}
{% macro duckdb__as_once() %}as materialized{% endmacro %}
