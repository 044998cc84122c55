-- The records that were rejected last and not taken in again, newest first (rule E3).
select landed_at, environment_key, object, line, position, reason, record
from standing
where $reason is null or reason = $reason or starts_with(reason, $reason || ':')
order by landed_at desc, object desc, line desc, position desc
limit $limit
