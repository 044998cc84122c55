-- The staged records of a batch that has no object of a source.
create temp view staged_rows as
select
    *,
    rowid as staged_row,
    null::varchar as source,
    null::bigint as source_version,
    null::bigint as source_cursor
from staged
