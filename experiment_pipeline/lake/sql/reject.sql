-- Judged records that surely break the contract.
insert into rejected_rows
select object, line, position, reason, left(text, $record_limit)
from judged
where reason is not null
