-- How many anonymous identities are linked to several known ones, and so to none (D6).
select count(*)::bigint
from (
    select identity_hash
    from read_parquet($link_files, hive_partitioning = false)
    where value <> identifier and batch <= $data_version
    group by identity_hash
    having count(distinct value) > 1
)
