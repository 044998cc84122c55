-- What is kept of the batch.
delete from staged where rowid in (select record from erased_records where is_good);
delete from rejected_rows where rowid in (select record from erased_records where not is_good)
