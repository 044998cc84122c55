-- What is kept of a file of rejected records where some go, by their places in it.
select * exclude (file_row_number)
from read_parquet($files, hive_partitioning = false, file_row_number = true)
where not list_contains($numbers::bigint[], file_row_number)
