-- Whether rows were removed by batches after that of an earlier refresh (E6).
select true
from read_parquet($files, hive_partitioning = false)
where batch > $known and batch <= $data_version
limit 1
