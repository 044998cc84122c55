-- Values of one dimension among the analysed identities of the given variants, the largest first (M15); null is one of them. `value` is
-- selected around the artifact.
select value
from dimension
where variant in (select unnest($variants))
    and not (quarantined and $exclude_quarantined)
    and entered_at_ms is not null
group by value
order by count(*) desc, value nulls first
limit $limit
