-- The first delivery of every event within the batch, with its traits and metadata (rule E4): objects are numbered in the
-- order of their arrival. Few events come more than once: only of these is the place compared.
create temp table accepted_rows as
with
delivered as (
    select event_hash_high, event_hash_low, min(rowid) as staged_row, count(*) as deliveries
    from staged
    group by event_hash_high, event_hash_low
),
earliest as (
    select
        event_hash_high,
        event_hash_low,
        arg_min(staged.rowid, (object, line, coalesce(position, 0))) as staged_row
    from staged
    join delivered using (event_hash_high, event_hash_low)
    where deliveries > 1
    group by event_hash_high, event_hash_low
)
select coalesce(earliest.staged_row, delivered.staged_row) as staged_row, event_hash_high, event_hash_low
from delivered
left join earliest using (event_hash_high, event_hash_low)
