-- The batch's rejected records by the environment of their object and by reason (rule E3).
select objects.environment_key, rejected_rows.reason, count(*) as records
from rejected_rows
join objects using (object)
group by all
order by all
