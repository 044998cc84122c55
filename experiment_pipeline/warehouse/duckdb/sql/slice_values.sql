-- Texts of one property of the events that a measure counts, of identities that are compared (M18): the largest first, null
-- is one of them. `event` holds the events, `identity` the analysed identities.
select slice_value
from event
join identity using (identity_hash)
where at_us >= starts_at_us + $start_us
    and ($end_us is null or at_us < starts_at_us + $end_us)
    and ($mature_after_us is null or starts_at_us + $mature_after_us <= epoch_us($as_of))
group by slice_value
order by count(*) desc, slice_value nulls first
limit $limit
