-- How many records of each object are judged so far: an envelope that SQL leaves to `events` is one row here, many there.
insert into record_counts
select object, count(*)
from judged
where is_plain or reason is not null
group by object
