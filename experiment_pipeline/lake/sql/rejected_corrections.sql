-- Rejected records of sources whose rows supersede earlier ones, with the event id that they say (rule D7): the row has
-- changed into no event, so the event that it was is gone. A record that was cut is no JSON, and supersedes nothing.
create temp table rejected_corrections as
select
    -row_number() over () as staged_row,
    environment_key,
    source,
    json_extract_string(record, '$.event_id') as event_id,
    source_cursor,
    object,
    line
from (select * from rejected_rows where json_valid(record))
join objects using (object)
join cursors using (object, line)
where source_cursor is not null and json_extract_string(record, '$.event_id') <> ''
