select environment_key, month, count(*) as events
from staged
join kept on kept.staged_row = staged.rowid
group by environment_key, month
order by environment_key, month
