-- The rejected records of one environment in a file that may name an identifier, plainly or with escapes, by their places.
select file_row_number, record, landed_at
from read_parquet($files, hive_partitioning = false, file_row_number = true)
where environment_key = $environment_key and (contains(record, $identifier) or contains(record, '\'))
