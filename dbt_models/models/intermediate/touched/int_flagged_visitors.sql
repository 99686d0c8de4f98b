{%- set bots = ref("bots") -%}
{%- set changed = ref("int_changed_visitors") -%}
-- Visitors that break other rules of bots than before.
{%- if ecom_analytics.is_partial() %}
with before as (
    select bots.source, bots.visitor_id, bots.rules
    from {{ ecom_analytics.previous("bots") }} as bots
    inner join {{ changed }} as changed on bots.source = changed.source and bots.visitor_id = changed.visitor_id
),

now as (
    select bots.source, bots.visitor_id, bots.rules
    from {{ bots }} as bots
    inner join {{ changed }} as changed on bots.source = changed.source and bots.visitor_id = changed.visitor_id
)

select source, visitor_id from (select * from before except select * from now) as gone
union
select source, visitor_id from (select * from now except select * from before) as come
{%- else %}
select source, visitor_id from {{ bots }} where false
{%- endif %}
