-- The batch's rows that supersede earlier ones of the same event id (rule D7), and those that were rejected.
create temp table latest_rows as
select staged_row, environment_key, source, event_id, source_cursor, event_hash_high, event_hash_low
from staged_rows
where source_cursor is not null and event_id is not null
union all
select staged_row, environment_key, source, event_id, source_cursor, null, null
from rejected_corrections
anti join (
    select environment_key, source, event_id from staged_rows where source_cursor is not null
) as staged using (environment_key, source, event_id)
