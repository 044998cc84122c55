-- Objects of which no record is JSON.
with
read as (select object, sum(records) as records from record_counts group by object),
broken as (select object, count(*) as records from rejected_rows where reason = 'not_json' group by object)
select objects.name
from objects
join read using (object)
join broken using (object)
where read.records = broken.records
