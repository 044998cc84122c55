-- What the others supersede leaves with this batch (rule D7).
insert into removed_rows
select distinct environment_key, month, event_hash_high, event_hash_low, identity_hash, timestamp
from known_rows
semi join latest_rows using (environment_key, source, event_id)
