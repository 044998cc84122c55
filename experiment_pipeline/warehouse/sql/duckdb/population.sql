-- Analysed identities per variant (M4: n comes from the first exposures); `arm` stands for the variant.
create or replace temp table population as
select variant, (row_number() over (order by variant))::uinteger as arm, count(*) as n
from read_parquet($first_exposures)
where not (quarantined and $exclude_quarantined)
group by variant
