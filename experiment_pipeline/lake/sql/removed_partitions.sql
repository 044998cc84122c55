-- How many rows this batch removes of each partition; those that the lake says already are left out.
select environment_key, month, count(*)
from removed_rows
anti join (from removals where batch = $batch) as said using (event_hash_high, event_hash_low)
group by environment_key, month
order by environment_key, month
