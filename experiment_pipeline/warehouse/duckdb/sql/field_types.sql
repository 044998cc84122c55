-- Values of properties by the first character of their JSON text, which tells their type: how many events have one, the
-- smallest text and the largest. `property` holds the values, and the position of their property in a list.
select
    position,
    ascii(found::varchar) as code,
    count(*)::bigint as events,
    min(left(found::varchar, $sample_length)) as smallest,
    max(left(found::varchar, $sample_length)) as largest
from property
where found is not null
group by position, code
order by position, code
