select
    objects.environment_key,
    objects.name as object,
    refused.line::bigint as line,
    refused.position::bigint as position,
    refused.reason,
    refused.record,
    to_timestamp(objects.landed_us / 1000000.0) as landed_at,
    $batch::bigint as batch
from refused
join objects using (object)
order by refused.object, refused.line, refused.position
