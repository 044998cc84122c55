-- The staged records with the source that each is of, and its cursor where later rows supersede it (rule D7).
create temp view staged_rows as
select
    staged.*,
    staged.rowid as staged_row,
    source,
    source_version,
    source_cursor
from staged
join objects using (object)
left join cursors using (object, line)
