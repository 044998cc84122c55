insert into refused
select object, line, position, reason, left(text, $record_limit)
from judged
where reason is not null
