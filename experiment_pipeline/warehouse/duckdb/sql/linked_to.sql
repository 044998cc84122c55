-- Identities, and those that they were and are linked to (D6).
select unnest([changed.identity_hash, link_before.known_hash, link_now.known_hash]) as identity_hash, 0 as events
from changed
left join link_before on link_before.anonymous_hash = changed.identity_hash
left join link_now on link_now.anonymous_hash = changed.identity_hash
