-- Identities with rows that batches after that of an earlier refresh have removed (E6).
select distinct identity_hash
from read_parquet($files, hive_partitioning = false)
where batch > $known and batch <= $data_version
order by identity_hash
