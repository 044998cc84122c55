-- Orders that were paid, in euros.
select order_id, user_id, ordered_at, cents / 100.0 as amount
from {{ ref('raw_orders') }}
where status <> 'cancelled'
