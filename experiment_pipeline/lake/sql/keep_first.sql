-- The first delivery of every event within the batch (rule E4).
create temp table accepted_rows as
select min(rowid) as staged_row, event_hash_high, event_hash_low
from staged
group by event_hash_high, event_hash_low
