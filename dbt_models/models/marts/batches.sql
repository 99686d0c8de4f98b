select batch_id, name as file
from {{ ref("stg_batches") }}
