-- The unknown fields that most records hold, and how many different ones there are.
select name, sum(records)::bigint as records, count(*) over () as names
from unknown_fields
group by name
order by records desc, name
limit $names_kept
