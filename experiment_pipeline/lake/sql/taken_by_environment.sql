-- The rejected records that a batch takes in again, by the environment of their object and by the reason that they had.
select objects.environment_key, taken_rows.reason, count(*) as records
from taken_rows
join objects using (object)
group by all
order by all
