-- Anonymous identities and the known one that each is linked to (D6): none of those with several known ones. There are no
-- chains: what a known identity is itself linked to plays no part.
select
    identity_hash as anonymous_hash,
    any_value(value) as known,
    ((md5_number(any_value(value)) >> 64)::hugeint - 9223372036854775808)::bigint as known_hash
from read_parquet($link_files, hive_partitioning = false)
where value <> identifier and batch <= $data_version
group by identity_hash
having count(distinct value) = 1
