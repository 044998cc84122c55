-- Of a source's rows with one event id, the one with the largest cursor, and of equal cursors the one that was read last
-- (rule D7); the others are no events.
delete from staged
where rowid in (
    select staged_row
    from staged_rows
    where source_cursor is not null and event_id is not null
    qualify
        row_number() over (
            partition by environment_key, source, event_id order by source_cursor desc, object desc, line desc
        ) > 1
)
