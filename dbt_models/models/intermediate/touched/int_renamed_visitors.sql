{%- set logins = ref("int_visitor_logins") -%}
{%- set changed = ref("int_changed_visitors") -%}
-- Visitors that are of another user than before, with both.
{%- if ecom_analytics.is_partial() %}
select
    visitors.source,
    visitors.visitor_id,
    coalesce(before.user_id, visitors.visitor_id) as user_before,
    coalesce(logins.user_id, visitors.visitor_id) as user_id
from {{ changed }} as visitors
left join {{ ecom_analytics.previous_state("int_visitor_logins") }} as before
    on visitors.source = before.source and visitors.visitor_id = before.visitor_id
left join {{ logins }} as logins
    on visitors.source = logins.source and visitors.visitor_id = logins.visitor_id
where coalesce(before.user_id, visitors.visitor_id) <> coalesce(logins.user_id, visitors.visitor_id)
{%- else %}
select source, visitor_id, user_id as user_before, user_id from {{ logins }} where false
{%- endif %}
