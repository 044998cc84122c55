-- How many new events each partition gets.
select environment_key, month, count(*) as events
from staged
join accepted_rows on accepted_rows.staged_row = staged.rowid
group by environment_key, month
order by environment_key, month
