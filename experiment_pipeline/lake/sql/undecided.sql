-- Records that are neither plainly good nor plainly bad.
select object, line, position, text
from judged
where not is_plain and reason is null
order by object, line, position
