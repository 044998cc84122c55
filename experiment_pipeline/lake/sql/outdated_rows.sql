-- Rows that are not newer than what the lake holds of the same event id: their cursor is smaller, or nothing has changed.
create temp table outdated_rows as
select latest_rows.staged_row
from latest_rows
join (
    select
        environment_key,
        source,
        event_id,
        arg_max(
            struct_pack(at := source_cursor, high := event_hash_high, low := event_hash_low),
            (coalesce(source_cursor, -9223372036854775808), batch)
        ) as newest
    from known_rows
    group by environment_key, source, event_id
) using (environment_key, source, event_id)
where newest.at > latest_rows.source_cursor
    or (
        newest.at = latest_rows.source_cursor
        and newest.high = latest_rows.event_hash_high
        and newest.low = latest_rows.event_hash_low
    );

delete from staged where rowid in (select staged_row from outdated_rows);
delete from latest_rows where staged_row in (select staged_row from outdated_rows)
