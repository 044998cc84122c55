-- What the records that are judged so far hold beside the fields of rule E1.
insert into unknown_fields
select left(name, $name_kept), count(*)
from (select unnest(unknown_fields) as name from judged where is_plain or reason is not null)
group by all
