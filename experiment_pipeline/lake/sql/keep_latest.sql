-- Of a source's rows with one event id, the one with the largest cursor, and of equal cursors the one that was read last
-- (rule D7); the others are no events. Where that one was rejected, none is.
delete from staged
where rowid in (
    select staged_row
    from (
        select staged_row, environment_key, source, event_id, source_cursor, object, line
        from staged_rows
        where source_cursor is not null and event_id is not null
        union all
        from rejected_corrections
    )
    qualify
        row_number() over (
            partition by environment_key, source, event_id order by source_cursor desc, object desc, line desc
        ) > 1
)
