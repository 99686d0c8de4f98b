-- The way from the root to each category. A fixed number of joins, for recursion is not portable; what they do not
-- reach the root of (a tree too deep, or one that goes in circles) has no path, and a test warns of it.
{%- set levels = ecom_analytics.category_levels() %}
with categories as (
    select
        source,
        category_id,
        max_by(
            {{ ecom_analytics.pack(["parent_id", "name"]) }},
            {{ ecom_analytics.pack(["ingested_at", "parent_id", "name"]) }}
        ) as said
    from {{ ref("stg_categories") }}
    group by source, category_id
),

tree as (
    select source, category_id, said.parent_id as parent_id, coalesce(said.name, category_id) as label
    from categories
),

climbed as (
    select
        tree.source,
        tree.category_id,
        tree.label,
        tree.parent_id as parent_1
        {%- for level in range(1, levels) %},
        coalesce(above_{{ level }}.label, {{ "tree" if level == 1 else "above_" ~ (level - 1) }}.parent_id)
            as label_{{ level }},
        above_{{ level }}.parent_id as parent_{{ level + 1 }}
        {%- endfor %}
    from tree
    {%- for level in range(1, levels) %}
    left join tree as above_{{ level }}
        on
            tree.source = above_{{ level }}.source
            and {{ "tree" if level == 1 else "above_" ~ (level - 1) }}.parent_id = above_{{ level }}.category_id
    {%- endfor %}
)

select
    source,
    category_id,
    case
        when parent_{{ levels }} is null
            then concat_ws(
                ' > ', {% for level in range(levels - 1, 0, -1) %}label_{{ level }}, {% endfor %}label
            )
    end as path
from climbed
