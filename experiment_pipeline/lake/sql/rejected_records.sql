-- The batch's rejected records as rows of the table `rejected` (rule E3).
select
    objects.environment_key,
    objects.name as object,
    rejected_rows.line::bigint as line,
    rejected_rows.position::bigint as position,
    rejected_rows.reason,
    rejected_rows.record,
    to_timestamp(objects.landed_us / 1000000.0) as landed_at,
    $batch::bigint as batch
from rejected_rows
join objects using (object)
order by rejected_rows.object, rejected_rows.line, rejected_rows.position
