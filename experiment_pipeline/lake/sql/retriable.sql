-- Rejected records that are whole, to be judged once more.
select object, environment_key, landed_at, batch, reason, line, position, record
from standing
where line > 0
and length(record) < $record_limit
and ($reason is null or reason = $reason or starts_with(reason, $reason || ':'))
order by object, batch, reason
